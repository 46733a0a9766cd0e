// Package recognise finds out of which family a card is. It sends SELECT
// alone: never a VERIFY to a card that is not recognised, for on some cards an
// empty VERIFY counts as a wrong try.
package recognise

import (
	"context"

	"latchkey/internal/card"
	"latchkey/internal/card/piv"
)

// Open gives the card of a connection with its application selected.
// card.ErrUnrecognised means that it is of no family known here.
func Open(ctx context.Context, conn card.Conn) (card.Card, error) {
	c, err := piv.Open(ctx, conn)
	if err != nil {
		return nil, err
	}
	return c, nil
}
