// Command convert makes the models that face verification runs from the files
// that their authors published: it is part of set-up, see scripts/models.sh.
//
//	convert --landmarks L.bin --landmarks-manifest L.json --embedder E.tflite --out FOLDER
//
// It writes landmarks.onnx and embedder.onnx. The same input always gives the
// same bytes.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "convert:", err)
		os.Exit(1)
	}
}

func run(args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("convert", flag.ContinueOnError)
	flags.SetOutput(stderr)
	points := flags.String("landmarks", "", "landmarks' weights, 8 bits each")
	manifest := flags.String("landmarks-manifest", "", "their manifest, JSON")
	faces := flags.String("embedder", "", "embedder, TensorFlow Lite")
	out := flags.String("out", "", "folder to write to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var data [3][]byte
	for i, name := range []string{*points, *manifest, *faces} {
		var err error
		if data[i], err = os.ReadFile(name); err != nil {
			return err
		}
	}
	marks, err := landmarks(data[1], data[0])
	if err != nil {
		return fmt.Errorf("landmarks: %w", err)
	}
	described, err := embedder(data[2])
	if err != nil {
		return fmt.Errorf("embedder: %w", err)
	}
	for name, model := range map[string][]byte{"landmarks.onnx": marks, "embedder.onnx": described} {
		if err := os.WriteFile(filepath.Join(*out, name), model, 0o644); err != nil {
			return err
		}
	}
	return nil
}
