package config

import "net/url"

// Providers of face verification.
const (
	FaceLatchkey = "latchkey" // our own, in this process
	FaceAWS      = "aws"      // Amazon Rekognition
)

// Face are the settings of face verification.
type Face struct {
	FaceEnabled         bool    `name:"face_enabled" help:"Offer face verification. It is biometric data: decide on it with those who answer for data protection."`
	FaceProvider        string  `name:"face_provider" help:"latchkey, which is part of this program, or aws (Amazon Rekognition)."`
	FaceThreshold       float64 `name:"face_threshold" help:"latchkey: least similarity of the face with the photo, 0 to 1; 0 is the models' own, at which 1 pair in 10,000 of two people is taken for one."`
	FaceModels          string  `name:"face_models" help:"latchkey: folder of other models, with manifest.json; empty for those in the program."`
	FaceRuntime         string  `name:"face_runtime" help:"latchkey: file of the ONNX Runtime library; empty for the one in the program."`
	FaceNeedsProvenCard bool    `name:"face_needs_proven_card" help:"Offer it only to cards that have proven themselves."`
	FaceFailures        int     `name:"face_failures" help:"Failures in a row of one cardholder, after which there are delays of 30 seconds and more."`
	FaceMaxFailures     int     `name:"face_max_failures" help:"Failures in a row, after which face verification is on hold for the cardholder."`
	FaceScansPerSession int     `name:"face_scans_per_session" help:"Scans in one session."`
	FaceScansPerCard    int     `name:"face_scans_per_card" help:"Scans an hour for one card."`
	FaceScansDaily      int     `name:"face_scans_daily" help:"Scans a day for one card."`
	FacePage            string  `name:"face_page" help:"aws: the organisation's page with AWS's component, such as https://face.example.org/scan."`
	FaceAWSRegion       string  `name:"face_aws_region" help:"aws: region, such as eu-west-1."`
	FaceAWSEndpoint     string  `name:"face_aws_endpoint" help:"aws: address of its API; empty is the region's own."`
	FaceAWSConfidence   int     `name:"face_aws_confidence" help:"aws: least confidence that the person is live, 1 to 100."`
	FaceAWSSimilarity   int     `name:"face_aws_similarity" help:"aws: least similarity of the face with the photo, 1 to 100."`
}

func defaultFace() Face {
	return Face{FaceProvider: FaceLatchkey, FaceNeedsProvenCard: true, FaceFailures: 5, FaceMaxFailures: 50,
		FaceScansPerSession: 10, FaceScansPerCard: 30, FaceScansDaily: 100, FaceAWSConfidence: 90, FaceAWSSimilarity: 99}
}

// faces are the rules of face verification.
func (c *Config) faces() []check {
	aws := c.FaceEnabled && c.FaceProvider == FaceAWS
	return []check{
		{c.FaceProvider == FaceLatchkey || c.FaceProvider == FaceAWS, "face_provider", "latchkey or aws"},
		{c.FaceThreshold >= 0 && c.FaceThreshold <= 1, "face_threshold", "0 to 1"},
		{c.FaceMaxFailures >= c.FaceFailures && c.FaceMaxFailures <= 100, "face_max_failures", "face_failures to 100"},
		{!aws || c.FaceAWSRegion != "", "face_aws_region", "a region such as eu-west-1 where face_provider is aws"},
		{webAddress(c.FacePage) || !aws && c.FacePage == "", "face_page", "an address that begins with https://"},
		{c.FaceAWSEndpoint == "" || webAddress(c.FaceAWSEndpoint) || localAddress(c.FaceAWSEndpoint), "face_aws_endpoint", "an address that begins with https://"},
		{c.FaceAWSConfidence <= 100, "face_aws_confidence", "1 to 100"},
		{c.FaceAWSSimilarity <= 100, "face_aws_similarity", "1 to 100"},
	}
}

// localAddress says whether s is an http:// address of this machine, where a
// stand-in may be.
func localAddress(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "http" && Loopback(u.Host)
}
