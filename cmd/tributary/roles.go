package main

import (
	"slices"
	"strings"
)

// Roles of a node. A small one has all of them; with shared engines they scale apart.
const (
	roleIntake = "intake" // the doors
	roleIndex  = "index"  // the index stage, and that of complete studies, whose state lies in the index
	roleDerive = "derive" // DICOM objects of recordings in other formats
	roleReview = "review" // readers and operators
)

var allRoles = []string{roleIntake, roleIndex, roleDerive, roleReview}

func (f nodeFlags) has(role string) bool { return slices.Contains(f.Roles, role) }

// checkRoles refuses what cannot work: an engine that is this node's own is reached by no other.
func checkRoles(roles []string, at places) error {
	if len(roles) == 0 {
		return usagef("--roles names none of %s", strings.Join(allRoles, ", "))
	}
	for _, r := range roles {
		if !slices.Contains(allRoles, r) {
			return usagef("--roles %s: a role is one of %s", r, strings.Join(allRoles, ", "))
		}
	}
	for _, r := range allRoles {
		if !slices.Contains(roles, r) && !(at.blobs.shared() && at.log.shared() && at.index.shared()) {
			return usagef("--roles without %s: another node must do it, and it reaches neither folder nor file of this one; "+
				"give --blobs s3://…, --log kafka://… and --index postgres://…", r)
		}
	}
	return nil
}

// needs are the engines without which a role cannot do its work.
var needs = map[string][]string{
	roleIntake: {"blobs", "log"},
	roleIndex:  {"log", "index"},
	roleDerive: {"blobs", "log"},
	roleReview: {"blobs", "index"},
}

// enginesOf are the engines that any of the roles needs.
func enginesOf(roles []string) (names []string) {
	for _, name := range engineOrder {
		if slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(needs[r], name) }) {
			names = append(names, name)
		}
	}
	return names
}
