package config

import "testing"

// TestFaceOfAWS: with that provider a region and a page must be named, but only
// where face verification is on.
func TestFaceOfAWS(t *testing.T) {
	t.Parallel()
	empty := write(t, "")
	aws := func(more values) values {
		v := values{"face_enabled": "true", "face_provider": "aws"}
		for name, text := range more {
			v[name] = text
		}
		return v
	}
	refused(t, aws(nil), nil, empty, "want a region such as eu-west-1 where face_provider is aws")
	refused(t, aws(values{"face_aws_region": "eu-west-1"}), nil, empty, "want an address that begins with https://")
	c := load(t, aws(values{"face_aws_region": "eu-west-1", "face_page": "https://face.example.org"}), nil, empty)
	same(t, "eu-west-1", c.FaceAWSRegion)
	load(t, values{"face_provider": "aws"}, nil, empty)
	refused(t, values{"face_threshold": "much"}, nil, empty, "a number such as 0.5")
	refused(t, nil, nil, write(t, "face_threshold = 'much'"), "a number such as 0.5")
}
