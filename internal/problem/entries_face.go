package problem

import "net/http"

func faces() []Entry {
	const unclear, no = http.StatusUnprocessableEntity, http.StatusForbidden
	return []Entry{
		{FaceNotSeen, unclear, "We could not see your face", "The camera did not see a face the whole time.", "Sit in front of the camera, take away what covers your face, and try again."},
		{FaceSeveral, unclear, "There was more than one face", "The camera saw somebody beside you or behind you.", "Make sure that only you are in the picture, then try again."},
		{FaceFar, unclear, "Move closer to the camera", "Your face was too small in the picture.", "Move closer until your face fills the oval, then try again."},
		{FaceClose, unclear, "Move away from the camera a little", "Your face was too large for the picture.", "Move back until your face fits the oval, then try again."},
		{FaceOffCentre, unclear, "Bring your face into the middle", "Your face was not in the middle of the picture.", "Bring your face into the oval, then try again."},
		{FaceDark, unclear, "It is too dark", "There was too little light on your face.", "Turn on a light or face a window, then try again."},
		{FaceBright, unclear, "It is too bright", "There was too much light on your face or behind you.", "Turn away from the bright light, then try again."},
		{FaceBlurred, unclear, "The picture was blurred", "You or the camera moved too much, or its lens is not clean.", "Wipe the lens, hold still, then try again."},
		{FaceGlare, unclear, "There was glare on your glasses", "A reflection covered part of your face.", "Take your glasses off or tilt them, then try again."},
		{FaceLightWeak, unclear, "We could not see the screen's light on your face", "The light in the room is too strong for the colours of the screen.", "Turn the screen's brightness up, make the room darker or move closer to the screen, then try again."},
		{FaceNoTurn, unclear, "We did not see you turn your head", "You are asked to turn your head a little during the scan.", "Turn your head when the page says so, to the side that it names, then try again."},
		{FaceFewFrames, unclear, "The camera was too slow", "The camera gave too few pictures.", "Close other programs that use the camera, make sure there is enough light, then try again."},
		{FaceTiming, unclear, "The scan was interrupted", "A part of the scan took too long or was cut short.", "Keep the window in front until the scan has ended, then try again."},
		{FaceNotVerified, no, "We could not verify you", "The scan did not show us that you are the person on the photo, or the mobile number is not the one on record.", "Check your mobile number, look straight at the camera in good light and try again, or choose another way to prove who you are."},
		{FaceConsent, unclear, "Say that you agree to the scan", "We look at your face only if you agree.", "Tick the box to agree, or choose another way to prove who you are."},
		{FaceScanOver, http.StatusConflict, "This scan is over", "The scan has been used, or another has taken its place.", "Start another scan, or choose another way to prove who you are."},
		{FaceWait, http.StatusTooManyRequests, "Wait before you try again", "Your face could not be verified several times in a row.", "Wait for the time that is shown and try again, or choose another way to prove who you are."},
		{FaceScanLimit, http.StatusTooManyRequests, "Too many scans", "Scans were begun too many times in a short while.", "Choose another way to prove who you are, or wait a while and try again."},
		{FaceHeld, no, "Face verification is on hold for you", "Your face could not be verified too many times in a row.", "Choose another way to prove who you are, or contact your Registration Authority."},
		{FaceAway, http.StatusServiceUnavailable, "Face verification does not answer", "The part of the service that looks at faces is away. This attempt does not count.", "Choose another way to prove who you are, or try again in a few minutes."},
		{FaceNotStraight, unclear, "Look straight at the camera", "Your head was turned or tilted when it should not be.", "Hold your head straight, look into the camera, and try again."},
	}
}

func photos() []Entry {
	return []Entry{
		{PhotoRefused, 0, "The photo cannot be used", "It is not a good profile photo.", "Take another photo: one person, looking straight at the camera, in good light, sharp, as JPEG or PNG."},
		{PhotosRefused, 0, "Some photos were not taken", "The others are in.", "Correct the photos that are listed and run the command again. Photos that are in already are left as they are."},
		{PhotoMissing, 0, "There is no photo", "No profile photo of this cardholder is on record.", "Check the staff number. latchkeyd face enrol adds photos."},
		{PhotoDifferent, 0, "There is another photo already", "The photo on record is not this one.", "Run the command again with --replace if the newer photo is right."},
	}
}
