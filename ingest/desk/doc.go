// Package desk is the operators' door: what lies in quarantine, which instances have more than one data
// set, and the decisions about them, as JSON over HTTP. Each decision is durable before it is answered.
package desk
