package dimse

// UserInformation is the User Information item (PS3.8 §9.3.2.3, PS3.7 Annex D.3.3).
type UserInformation struct {
	MaxLength                 uint32 // of P-DATA-TF that its sender takes, in bytes; 0 is no limit
	ImplementationClassUID    string
	ImplementationVersionName string
	AsyncWindow               *AsyncOperationsWindow // nil: absent, which means 1 and 1
	Roles                     []RoleSelection
	Extended                  []ExtendedNegotiation
	Identity                  *UserIdentity
}
