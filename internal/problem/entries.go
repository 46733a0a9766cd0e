package problem

import "net/http"

func workstation() []Entry {
	return []Entry{
		{NoReaderService, 0, "The smartcard service is not running", "This computer's smartcard service does not answer, so no card reader can be used.", "Restart the computer. If that does not help, ask your IT help desk to start the smartcard service."},
		{NoReader, 0, "No card reader found", "This computer does not see a smartcard reader.", "Plug the reader in, or try another USB socket. A reader in a keyboard may need the keyboard's own cable."},
		{NoCard, 0, "No smartcard in the reader", "The reader is ready but there is no smartcard in it.", "Put your smartcard in the reader, chip first."},
		{CardUnknown, 0, "This card is not recognised", "The card in the reader is not of a kind that can be unlocked here.", "Check that it is your smartcard. If it is, contact your Registration Authority."},
		{CardMute, 0, "The card does not answer", "A card is in the reader but it does not answer.", "Take the card out, check that the chip is clean and faces the right way, and put it back in."},
		{SeveralCards, 0, "More than one smartcard found", "There is a smartcard in more than one reader.", "Choose the smartcard you want to unlock, or take the others out."},
		{CardRemoved, 0, "The smartcard was taken out", "The smartcard left the reader before we had finished.", "Put the same smartcard back in. You carry on where you left off."},
		{ReaderGone, 0, "The card reader was unplugged", "The card reader went away before we had finished.", "Plug the reader in again with your smartcard in it. You carry on where you left off."},
		{CardBusy, 0, "Another program is using the smartcard", "Another program on this computer is using your smartcard and did not let go of it.", "Close other programs that use the smartcard, then try again."},
		{CardMalformed, 0, "The smartcard gave an answer that makes no sense", "The card answered in a way that its standard does not allow.", "Take the card out, put it back in and try again. If it happens again, contact your Registration Authority."},
		{CardCannot, 0, "This smartcard cannot do that", "The card says that it does not support this.", "Contact your Registration Authority."},
		{CardSwapped, 0, "This is a different smartcard", "The card in the reader is not the one you started with.", "Put the first smartcard back in, or start again with this one."},
		{PUKBlocked, 0, "This smartcard can no longer be unlocked here", "The card's unlocking key has no tries left.", "Contact your Registration Authority. They can help you with a new card."},
		{PUKWrong, 0, "The smartcard did not accept its unlocking key", "The unlocking key that the service holds is not the one on this card.", "Contact your Registration Authority and give them the code of this page."},
		{PUKLastTry, http.StatusConflict, "We stopped to protect your smartcard", "The card has one try of its unlocking key left, and we do not risk it.", "Contact your Registration Authority and give them the code of this page."},
		{CardNotLocked, 0, "Your smartcard is not locked", "The card still takes your passcode.", "Log in with your passcode. If you have forgotten it, choose \"I have forgotten my passcode\"."},
		{CardLocked, 0, "Your smartcard is locked", "The wrong passcode was entered too many times.", "Unlock it. You do not need your old passcode."},
		{CertExpired, 0, "Your smartcard has expired", "The certificates on this card are no longer valid, so it could not be used even when unlocked.", "Contact your Registration Authority for a new card."},
		{PUKDisabled, 0, "This smartcard cannot be unlocked with an unlocking key", "A program that manages this card, such as its minidriver, has switched its unlocking key off on purpose. Nobody has tried to guess it.", "Contact your Registration Authority. They can reset the card or give you a new one. For operators: docs/cards.md, PUK blocked on purpose."},
		{ProfileUnfit, 0, "The profile does not fit this card", "What the card answers is not what the profile says.", "Correct what is marked WRONG and test again. No try was spent. docs/card-profiles.md tells how a profile is written."},
	}
}

func camera() []Entry {
	return []Entry{
		{CameraMissing, 0, "No camera found", "This computer has no camera, or it is switched off.", "Plug a camera in or switch it on, then try again. You can also use another way to prove who you are."},
		{CameraRefused, 0, "The camera is not allowed", "This window may not use the camera. It was refused here, or this computer's settings do not allow it.", "Choose Allow when you are asked for the camera. If you are not asked, look for the camera sign beside the window's address or title, or for Camera in this computer's privacy settings."},
		{CameraBusy, 0, "Another program is using the camera", "The camera is there but it cannot be opened.", "Close other programs that use the camera, such as video calls, then try again."},
		{CameraCannot, 0, "This window cannot use a camera", "This browser does not let the page use a camera.", "Close this window and open Latchkey from its shortcut, or use another way to prove who you are."},
		{CameraStopped, 0, "The camera stopped", "The camera sent no more pictures.", "Check that the camera is plugged in and that nothing else uses it, then try again."},
		{CameraDark, 0, "The camera's picture is black", "The camera works but it sees nothing.", "Open the camera's cover. Some computers have a key that switches the camera off."},
		{ScanHidden, 0, "The scan stopped because the window was hidden", "The scan needs the whole window in view. The camera is off.", "Keep this window in front until the scan has finished, then try again."},
		{ScanStopped, 0, "The scan was stopped", "It was stopped on this computer, its time was over, or a scan was started in another window. The camera is off.", "Try again when you are ready."},
		{FaceElsewhere, 0, "Face verification needs a window", "Face verification uses the camera and the whole screen, which a terminal cannot.", "Run latchkey to open its window, or use a security code here."},
	}
}

func passcode() []Entry {
	return []Entry{
		{PasscodeMissing, 0, "Enter a passcode", "The passcode is empty.", "Enter the new passcode in both boxes."},
		{PasscodeShort, 0, "The passcode is too short", "The passcode has fewer digits than your organisation asks for.", "Choose a longer passcode."},
		{PasscodeLong, 0, "The passcode is too long", "The passcode has more digits than your smartcard can hold.", "Choose a shorter passcode."},
		{PasscodeNotDigits, 0, "The passcode must be digits only", "The passcode has something other than the digits 0 to 9 in it.", "Choose a passcode of digits only."},
		{PasscodeMismatch, 0, "The two passcodes are not the same", "What you typed in the two boxes differs.", "Enter the same passcode in both boxes."},
		{PasscodeGuessable, 0, "The passcode is too easy to guess", "Passcodes such as 123456 are the first that anybody tries.", "Choose a passcode that is not a run, a repeat or a date."},
		{PasscodeRefused, 0, "The smartcard does not accept this passcode", "The card itself refused it. It may be one that you used before.", "Choose a different passcode."},
		{PasscodeWrong, 0, "The passcode is not right", "The card did not accept the passcode.", "Check the passcode and try again. If you have forgotten it, choose \"I have forgotten my passcode\"."},
		{PasscodeSame, 0, "The new passcode is the same as the old one", "The new passcode is the one you have now.", "Choose a different passcode."},
	}
}

func person() []Entry {
	return []Entry{
		{AddressMissing, http.StatusUnprocessableEntity, "Enter your email address", "The email address is empty.", "Enter the email address that your Registration Authority has for you."},
		{AddressMalformed, http.StatusUnprocessableEntity, "Enter an email address in the right form", "That is not an email address.", "Enter it like name@example.org."},
		{CodeMissing, http.StatusUnprocessableEntity, "Enter the security code", "The security code is 6 digits.", "Enter the 6 digits from the message."},
		{CodeWrong, http.StatusUnprocessableEntity, "The security code is not right", "The code does not match the last one we sent, or it has been used already.", "Check the newest message and try again, or ask for a new code."},
		{CodeTries, http.StatusForbidden, "Too many wrong security codes", "The code was wrong too many times, so this attempt has ended.", "Start again. Your smartcard is as it was."},
		{CodeNotSent, http.StatusConflict, "Ask for a security code first", "No security code has been asked for yet.", "Choose how to get a security code."},
		{SendLimit, http.StatusTooManyRequests, "Too many security codes asked for", "Codes were asked for too many times in a short while.", "Use the newest code that you have, or wait a while and try again."},
		{MethodUnavailable, http.StatusConflict, "This way to prove who you are is not available", "Your organisation does not offer it at the moment.", "Choose another way, or contact your Registration Authority."},
		{DayLimit, http.StatusTooManyRequests, "Too many wrong security codes today", "The code for this card was wrong too many times today.", "Try again tomorrow, or contact your Registration Authority."},
		{MethodMissing, 0, "Choose how to prove who you are", "Nothing was chosen.", "Choose one of the ways on the page."},
		{MobileMissing, http.StatusUnprocessableEntity, "Enter your mobile phone number", "The mobile phone number is empty.", "Enter the number that your Registration Authority has for you."},
		{MobileMalformed, http.StatusUnprocessableEntity, "Enter a mobile phone number in the right form", "That is not the number of a mobile phone.", "Enter it like 07700 900123. For a number of another country begin with + and its country code."},
	}
}

func standing() []Entry {
	return []Entry{
		{CardNotServed, http.StatusForbidden, "This card can't be unlocked here", "The service cannot unlock this card.", "Your Registration Authority can help."},
		{CardSuspended, http.StatusForbidden, "Your smartcard is suspended", "The Registration Authority has suspended this card.", "Contact your Registration Authority."},
		{CardRevoked, http.StatusForbidden, "Your smartcard has been revoked", "The Registration Authority has withdrawn this card for good.", "Contact your Registration Authority for a new card."},
		{HolderSuspended, http.StatusForbidden, "Self-service is switched off for you", "The Registration Authority has switched self-service off for you.", "Contact your Registration Authority."},
		{CardExpired, http.StatusForbidden, "Your smartcard has expired", "The card's certificates are no longer valid.", "Contact your Registration Authority for a new card."},
		{CardNotKnown, http.StatusForbidden, "Your smartcard is not registered", "The service does not know this card.", "Contact your Registration Authority."},
		{HolderNoContact, http.StatusForbidden, "We have no way to reach you", "No email address or phone number that can be used is on record for you.", "Ask your Registration Authority to add one. You can use it at once."},
		{CardNoKey, http.StatusForbidden, "We hold no unlocking key for this card", "The card is registered but its unlocking key is not.", "Contact your Registration Authority."},
		{HolderNotKnown, http.StatusNotFound, "There is no such cardholder", "No cardholder has this staff number.", "Check the staff number. Import the cardholder if it is right."},
		{CertRevoked, http.StatusForbidden, "Your smartcard's certificate has been revoked", "Whoever issued this card has withdrawn its certificate, or has put it on hold.", "Ask your Registration Authority for a new card, or to end the hold."},
		{CertUntrusted, http.StatusForbidden, "Your smartcard's certificate is not accepted", "The certificate does not come from an authority that your organisation trusts.", "Ask your Registration Authority for a new card and give them the code of this page. For operators: the audit trail says why; latchkeyd trust check looks at a certificate."},
		{CertUnknown, http.StatusServiceUnavailable, "We cannot check your smartcard at the moment", "It cannot be found out whether this card's certificate has been revoked. Your smartcard is as it was.", "Try again in a few minutes. If it happens again, ask your Registration Authority and give them the code of this page. For operators: latchkeyd trust check says what is missing."},
		{SessionExpired, http.StatusGone, "Your time has run out", "The time to unlock your smartcard, 15 minutes unless your organisation says otherwise, has passed.", "Start again."},
		{SessionUnknown, http.StatusUnauthorized, "This attempt is not known", "The service does not know this attempt.", "Start again."},
		{SessionState, http.StatusConflict, "That step is not next", "This step cannot be done now.", "Go back to the page you came from, or start again."},
		{SessionReplaced, http.StatusConflict, "A newer attempt has taken over", "Your smartcard is being unlocked in another window or at another computer.", "Carry on there, or start again here."},
		{OldApplication, http.StatusForbidden, "This application is too old", "The service no longer works with this version of the application.", "Ask your IT help desk to update Latchkey on this computer."},
		{NewerService, http.StatusNotImplemented, "The service and this application do not fit together", "The service speaks a version that this application does not know.", "Ask your IT help desk to update Latchkey on this computer."},
		{ProofWrong, http.StatusForbidden, "The smartcard could not prove itself", "The card's proof does not match.", "Take the card out, put it back in and start again."},
		{SessionFinished, http.StatusConflict, "This attempt has ended", "The attempt has been finished or given up.", "Start again if your smartcard is still locked."},
		{ReleaseMismatch, http.StatusConflict, "The request does not match this attempt", "The card or the step is not the one of this attempt.", "Put the smartcard you started with in the reader, or start again."},
		{ReportMismatch, http.StatusConflict, "The report does not match this attempt", "The step was never released.", "Nothing needs doing. If your smartcard is still locked, start again."},
		{HolderFailures, http.StatusForbidden, "Self-service is on hold for you", "There have been too many failed attempts in a row.", "Contact your Registration Authority."},
		{ReceiptForged, http.StatusForbidden, "The receipt is not the provider's", "A receipt of a text message did not come from a provider that is set up here.", "For operators: check the provider's secret and callback address on both sides."},
		{MessageNotKnown, 0, "There is no such message", "No message with this reference is on record.", "Check the reference: latchkeyd messages lists them. Records are kept for 90 days."},
		{RequestMalformed, http.StatusBadRequest, "The request could not be understood", "Something in the request is missing or malformed.", "Start again. If it happens again, give your IT help desk the code of this page."},
		{RequestTooLarge, http.StatusRequestEntityTooLarge, "The request is too large", "More was sent than is ever needed.", "Check what you typed and try again."},
		{NoSuchPage, http.StatusNotFound, "There is no such page", "The address does not exist.", "Go back to the start."},
		{RequestRate, http.StatusTooManyRequests, "The service is busy", "Too many attempts came from your network in a short while.", "Wait a minute and try again."},
	}
}

func service() []Entry {
	return []Entry{
		{Internal, http.StatusInternalServerError, "Something went wrong on our side", "It was not your fault.", "Try again. If it happens again, contact your Registration Authority and give them the code of this page."},
		{DatabaseGone, http.StatusServiceUnavailable, "The service cannot reach its database", "The service is running but its database does not answer.", "Try again in a few minutes."},
		{DatabaseBusy, http.StatusServiceUnavailable, "The service is busy", "The service could not do this in time.", "Try again."},
		{DatabaseReadOnly, http.StatusServiceUnavailable, "The service cannot save anything", "The database cannot be written to.", "Try again later, or tell your IT help desk the code of this page. For operators: check the rights and the mount of the database's folder."},
		{DiskFull, http.StatusServiceUnavailable, "The service has no room left", "The disk that holds the database is full.", "Nothing was lost. Try again later, or tell your IT help desk the code of this page. For operators: make room."},
		{KeyMissing, 0, "A key file is missing", "The service does not run without its two key files: the key-encryption key and the signing key.", "Put the file that is named back from your safe copy. For a new installation run latchkeyd init."},
		{KeyWrong, 0, "The key cannot be used", "It is not the one that the database was made with, it is damaged, or others can read its file.", "Put the right key file back, readable by the service alone, or set the key provider to the key that was used. Nothing was changed."},
		{KeyExists, 0, "There is a key file already", "latchkeyd init never overwrites a key: everything sealed with it would be lost.", "Use the existing keys, or name another folder."},
		{ConfigInvalid, 0, "The configuration is not right", "A setting is missing or has a value that cannot be used.", "Correct the setting that is named and start again. latchkeyd config shows what is in effect."},
		{DatabaseNewer, 0, "The database belongs to a newer version", "A newer latchkeyd has changed this database.", "Install that version or a newer one."},
		{AuditBroken, 0, "The audit trail has been changed", "An entry of the audit trail does not fit the one before it.", "Keep the database as evidence and tell your security team."},
		{AssetsMissing, http.StatusServiceUnavailable, "The pages' styles are missing from this build", "The program was built before its third-party files were fetched.", "Run make setup, then build again."},
		{AddressInUse, 0, "The address is in use", "Another program is listening on this address and port.", "Stop the other program or choose another address with --listen."},
		{FaceUnavailable, 0, "Face verification is not available here", "This program has nothing to run its face models with.", "Run make setup and build again with cgo, or name the ONNX Runtime library of this machine with face_runtime."},
		{FaceModels, 0, "The face models cannot be used", "The folder of face models is not what its manifest says.", "Compare the folder with the section \"Your own models\" of docs/face.md, or leave out face_models to use those in the program."},
		{TrustFaults, 0, "Cards cannot be checked as they should be", "Something that the certificates of cards are checked with is missing or too old, or a certificate that was given does not count.", "Mend what is marked above and run latchkeyd trust check again. docs/cards.md, Chains and revocation, tells what is needed."},
	}
}

func connection() []Entry {
	return []Entry{
		{ServiceUnset, 0, "No service is set", "This computer has not been told where the Latchkey service is.", "Ask your IT help desk to set the service's address, or give it with --service."},
		{ServiceUnreachable, 0, "The service cannot be reached", "The Latchkey service does not answer from this computer.", "Check that the computer is on the network, then try again."},
		{ServiceSlow, 0, "The service takes too long", "The Latchkey service did not answer in time.", "Try again. Nothing was lost."},
		{ServiceCertificate, 0, "The connection to the service is not safe", "The service's certificate is not one that this computer trusts.", "Do not go on. Tell your IT help desk the code of this page."},
		{ServiceAnswer, 0, "The service gave an answer that makes no sense", "Something between this computer and the service may be in the way.", "Try again. If it happens again, tell your IT help desk the code of this page."},
		{ServicePin, 0, "This is not the service that this computer knows", "The service's signing key is not the one pinned on this computer.", "Do not go on. Tell your IT help desk the code of this page."},
		{ServicePlain, 0, "The service's address is not safe", "An address that begins with http:// is only allowed on this computer itself.", "Use an address that begins with https://."},
		{ClockWrong, 0, "This computer's clock is wrong", "The clock differs from the service's by more than five minutes.", "Set the clock, or ask your IT help desk to."},
	}
}

func imports() []Entry {
	return []Entry{
		{ImportHeader, 0, "The file's first line is not right", "A column is missing, unknown or there twice.", "Correct the first line. docs/operating.md lists the columns."},
		{ImportEncoding, 0, "The file is not UTF-8 text", "The file has bytes that are not UTF-8.", "Save the file as CSV UTF-8 and try again."},
		{ImportLine, 0, "A line is not right", "A line has a value that cannot be used.", "Correct the lines that are listed and import the file again. Lines that are already in are left as they are."},
		{ImportKey, 0, "A card has a different unlocking key already", "An import never changes the unlocking key of a card.", "If the card was issued again, use latchkeyd card reissue."},
		{ImportRefused, 0, "Nothing was imported", "Some lines are not right, so the whole file was left out.", "Correct the lines that are listed, or import the good ones with --partial."},
		{ImportFile, 0, "The file cannot be read", "The file does not exist or cannot be opened.", "Check the file's name and rights."},
		{ImportSealed, 0, "The encrypted file cannot be opened", "It was encrypted to another import key, it is damaged, or its end is missing.", "Print the key with latchkeyd keys import-key, encrypt the file to it again with latchkeyd keys encrypt, and import that."},
		{ImportCert, 0, "A card's certificate does not count", "The certificate has expired, was revoked, or does not come from one of the card authorities.", "Leave the card out, or import it with its newer certificate. latchkeyd trust check looks at a certificate."},
		{FaceFile, 0, "The picture cannot be opened", "The file does not exist or cannot be opened.", "Check the file's name and rights."},
		{FacePicture, 0, "The picture cannot be read", "The file is not a JPEG or PNG picture, or it is damaged or too large.", "Open it in another program, save it as JPEG with no more than 25 million pixels and 16 MiB, and try again."},
		{FaceNotGood, 0, "Not every picture is good", "At least one of the pictures is not a good profile photo.", "Take those pictures again as the lines above advise."},
		{FaceNone, 0, "There is no face on the picture", "No face was found on the picture.", "Choose a picture on which the face is seen from the front."},
		{FacePairs, 0, "The list of pairs is not right", "Each line has two names of pictures and 1 for the same person or 0 for two people, apart by tabs or spaces.", "Correct the line that is named and try again."},
	}
}

func pages() []Entry {
	return []Entry{
		{PageHost, http.StatusMisdirectedRequest, "This address is not right", "The page was asked for under a name that is not its own.", "Close this window and open Latchkey again."},
		{PageLaunch, http.StatusForbidden, "Open Latchkey again", "This page can be used only from the window that Latchkey opened.", "Close this window and open Latchkey from its shortcut."},
		{PagePeer, http.StatusForbidden, "This page belongs to another person", "The page was opened from another account on this computer.", "Open Latchkey from your own account."},
		{PageOrigin, http.StatusForbidden, "The request came from another page", "Another web page tried to use Latchkey.", "Close the other page. Nothing was changed."},
		{PageTooLarge, http.StatusRequestEntityTooLarge, "That is too long", "More was sent than is ever needed.", "Check what you typed and try again."},
		{InputEnded, 0, "An answer is missing", "The input ended before every question was answered.", "Start again and answer every question. A script gives one answer a line."},
	}
}
