package dimse

// RoleSelection is the item 54H (PS3.7 §D.3.3.4).
type RoleSelection struct {
	SOPClassUID string
	SCU         bool // the requestor acts as SCU
	SCP         bool // the requestor acts as SCP
}
