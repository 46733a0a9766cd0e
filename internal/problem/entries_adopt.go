package problem

func adoptions() []Entry {
	return []Entry{
		{AdoptKeyWrong, 0, "The card did not accept the key that was given", "The unlocking key is not the one on this card. The card was not changed, and the key is not kept as the card's.", "Find out which key the card has before you try again: each wrong one costs a try. Give it with --card-key-file, or type it when you are asked."},
		{AdoptKeyForm, 0, "The unlocking key cannot be used", "What was given as the card's unlocking key does not have the form of one. The card was not asked.", "Give the key as the card's maker wrote it: a PUK or an admin PIN as it is typed, an administration key as 48 hexadecimal digits."},
		{AdoptNoFactory, 0, "No factory key is known for this kind of card", "Cards of this kind do not all leave the factory with the same key.", "Give the card's own key with --card-key-file, or run the command without --factory and type it."},
		{AdoptHasKey, 0, "The service holds an unlocking key of this card already", "The card is registered with an unlocking key that is not the one that was given. Nothing was changed.", "The card needs no adopting: its cardholder can unlock it. If somebody has set another key on the card since, tell the service with latchkeyd card reissue, then adopt the card with that key."},
		{AdoptOtherHolder, 0, "The card belongs to another cardholder", "The card in the reader is registered to somebody else. Nothing was changed.", "Check the staff number and the card. To give the card to another cardholder, import it with the new staff number first."},
		{AdoptOtherCard, 0, "This is another card", "The card in the reader does not have the number that was given. Nothing was changed.", "Put the right card in, or correct the card number. It is the card's serial number or its identifier."},
		{AdoptLastTry, 0, "One try of the card's unlocking key is left", "A wrong key would block it for good, so the card was not asked.", "Set a key on the card with its maker's tool, tell the service with latchkeyd card reissue if the card is registered, and adopt it with that key. Otherwise issue another card."},
		{AdoptBlocked, 0, "The card's unlocking key is blocked", "The key has no tries left, or a program has put it out of use.", "Reset the application on the card with its maker's tool, which deletes the keys and certificates in it, issue the card again and adopt it. Otherwise issue another card."},
		{AdoptCannot, 0, "The card does not take another unlocking key", "The card does not let its unlocking key be changed. Where the key that was given could be the card's, the service keeps it.", "Look at what the card's maker says of its PUK. Some cards take digits only, others none at all: register such a card with the key that it has (latchkeyd import cards)."},
		{AdoptSome, 0, "Some cards were not adopted", "The others are done.", "Look at the report, mend what it says and run the command again. Cards that are adopted already are left as they are."},
	}
}
