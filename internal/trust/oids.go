package trust

import "encoding/asn1"

// Extensions of CRLs (RFC 5280 section 5.2).

func oidCRLNumber() asn1.ObjectIdentifier                { return asn1.ObjectIdentifier{2, 5, 29, 20} }
func oidDeltaCRL() asn1.ObjectIdentifier                 { return asn1.ObjectIdentifier{2, 5, 29, 27} }
func oidIssuingDistributionPoint() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 29, 28} }
func oidAuthorityKeyID() asn1.ObjectIdentifier           { return asn1.ObjectIdentifier{2, 5, 29, 35} }
