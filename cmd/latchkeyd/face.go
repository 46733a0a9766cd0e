package main

type faceCommand struct {
	photoCommands `embed:""`
}
