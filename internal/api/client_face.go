package api

import "context"

// StartFace begins a scan of the face.
func (c *Client) StartFace(ctx context.Context, who Credentials, r FaceRequest) (FaceScan, error) {
	return do[FaceScan](ctx, c, "POST", PathFace, who, r, false)
}

// FaceStep fixes the frames of a step and gives the next one.
func (c *Client) FaceStep(ctx context.Context, who Credentials, r FaceStepDone) (FaceStep, error) {
	return do[FaceStep](ctx, c, "POST", PathFaceStep, who, r, true)
}

// SendFaces has a scan decided.
func (c *Client) SendFaces(ctx context.Context, who Credentials, r FaceFrames) (Session, error) {
	return do[Session](ctx, c, "POST", PathFaceFrames, who, r, false)
}
