package uid

import (
	"sort"
	"strings"
)

// Roots under which the standard names its SOP classes (PS3.6 Table A-1).
const (
	standardRoot  = "1.2.840.10008"
	compositeRoot = "1.2.840.10008.5.1.4.1.1."
)

// notStorage are the SOP classes under compositeRoot whose instances nobody stores: query/retrieve models
// that were given numbers there, and Inventory's services.
var notStorage = [...]string{
	"1.2.840.10008.5.1.4.1.1.200.4", // Protocol Approval Information Model - FIND
	"1.2.840.10008.5.1.4.1.1.200.5", // … - MOVE
	"1.2.840.10008.5.1.4.1.1.200.6", // … - GET
	"1.2.840.10008.5.1.4.1.1.201.2", // Inventory - FIND
	"1.2.840.10008.5.1.4.1.1.201.3", // … - MOVE
	"1.2.840.10008.5.1.4.1.1.201.4", // … - GET
	"1.2.840.10008.5.1.4.1.1.201.5", // Inventory Creation
	"1.2.840.10008.5.1.4.1.1.201.6", // Repository Query
}

// storageElsewhere are the storage SOP classes outside compositeRoot.
var storageElsewhere = [...]string{
	"1.2.840.10008.5.1.1.27",    // Stored Print Storage, retired
	"1.2.840.10008.5.1.1.29",    // Hardcopy Grayscale Image Storage, retired
	"1.2.840.10008.5.1.1.30",    // Hardcopy Color Image Storage, retired
	"1.2.840.10008.5.1.4.34.1",  // RT Beams Delivery Instruction Storage - Trial, retired
	"1.2.840.10008.5.1.4.34.7",  // RT Beams Delivery Instruction Storage
	"1.2.840.10008.5.1.4.34.10", // RT Brachy Application Setup Delivery Instruction Storage
	"1.2.840.10008.5.1.4.38.1",  // Hanging Protocol Storage
	"1.2.840.10008.5.1.4.39.1",  // Color Palette Storage
	"1.2.840.10008.5.1.4.43.1",  // Generic Implant Template Storage
	"1.2.840.10008.5.1.4.44.1",  // Implant Assembly Template Storage
	"1.2.840.10008.5.1.4.45.1",  // Implant Template Group Storage
}

// SOPClassName returns the standard's name of a SOP class or Meta SOP class (PS3.6 Table A-1).
func SOPClassName(uid string) (string, bool) {
	i := sort.Search(len(sopClasses), func(i int) bool { return sopClasses[i].uid >= uid })
	if i < len(sopClasses) && sopClasses[i].uid == uid {
		return sopClasses[i].name, true
	}
	return "", false
}

// IsStorage reports whether instances of sopClass are composite objects that a store keeps (PS3.4
// Annex B and GG). It is true for a class the standard may add later among the composite classes, and
// for private classes, because dropping a vendor's object is worse than keeping a strange one. It is
// false for services (verification, worklist, performed procedure step, print, query/retrieve, storage
// commitment) and for Media Storage Directory, which describes a medium rather than a patient.
func IsStorage(sopClass string) bool {
	if ValidLenient(sopClass) != nil {
		return false
	}
	if len(sopClass) > len(compositeRoot) && strings.HasPrefix(sopClass, compositeRoot) {
		for _, u := range notStorage {
			if u == sopClass {
				return false
			}
		}
		return true
	}
	for _, u := range storageElsewhere {
		if u == sopClass {
			return true
		}
	}
	return sopClass != standardRoot && !strings.HasPrefix(sopClass, standardRoot+".")
}
