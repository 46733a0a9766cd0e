package adopt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"latchkey/internal/card"
	"latchkey/internal/directory"
	"latchkey/internal/escrow"
	"latchkey/internal/journey"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// Outcome is what became of a cardholder in a batch.
type Outcome string

// Outcomes.
const (
	OutcomeAdopted    Outcome = "adopted"
	OutcomeAlready    Outcome = "already adopted"
	OutcomeNotAdopted Outcome = "not adopted"
	OutcomeNotReached Outcome = "not reached" // the batch was stopped before
)

// Line is a line of the report of a batch.
type Line struct {
	StaffNumber string
	Card        string // serial number, or else identifier; as it was given where no card was read
	Outcome     Outcome
	Problem     *problem.Problem // nil where it was adopted
}

// onePatience is how long a single card is waited for.
const onePatience = 15 * time.Second

// One adopts the card that is in the reader now, or within a few seconds.
// Errors are problems.
func (d *Desk) One(ctx context.Context, staffNumber, number string) (Result, store.Holder, error) {
	h, err := d.Holder(ctx, staffNumber)
	if err != nil {
		return Result{}, h, err
	}
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := d.watch(watching).card(ctx, onePatience, func(*problem.Problem) {})
	if err != nil {
		return Result{}, h, err
	}
	result, err := d.Card(ctx, r.Name, h, number)
	return result, h, err
}

// Batch adopts the cards of a list, one after another in the reader. report is
// told each line as soon as it is known, at the end those that were not reached.
// What is the matter with one card does not keep the next from being adopted:
// problem.AdoptSome at the end. Run again it skips those that are done. The end
// of ctx stops it between two cards, or once the card in hand is finished.
func (d *Desk) Batch(ctx context.Context, list []directory.Wanted, report func(Line) error) error {
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	slot := d.watch(watching)
	failed := 0
	var done card.Reader // whose card is finished and to be taken out
	for i, w := range list {
		line, r, err := d.wanted(ctx, slot, done, w, fmt.Sprintf("%d of %d", i+1, len(list)))
		if err != nil {
			for _, rest := range list[i:] {
				if failure := report(Line{StaffNumber: rest.StaffNumber, Card: rest.Card, Outcome: OutcomeNotReached}); failure != nil {
					return errors.Join(err, failure)
				}
			}
			return err
		}
		if r.Name != "" {
			done = r
		}
		if line.Problem != nil {
			failed++
			d.Say(fmt.Sprintf("%s %s. %s", line.Problem.Code, line.Problem.Title, line.Problem.Next))
		}
		if err := report(line); err != nil {
			return err
		}
	}
	if failed > 0 {
		return problem.Wrap(problem.AdoptSome, fmt.Errorf("%d of %d were not adopted", failed, len(list)))
	}
	return nil
}

// wanted does one cardholder. It gives the reader whose card it has used. An
// error ends the batch.
func (d *Desk) wanted(ctx context.Context, s *slot, done card.Reader, w directory.Wanted, place string) (Line, card.Reader, error) {
	line := Line{StaffNumber: w.StaffNumber, Card: w.Card}
	if err := ctx.Err(); err != nil {
		return line, card.Reader{}, err
	}
	h, err := d.Holder(ctx, w.StaffNumber)
	if problem.CodeOf(err) == problem.HolderNotKnown {
		line.Outcome, line.Problem = OutcomeNotAdopted, problem.From(err)
		return line, card.Reader{}, nil
	}
	if err != nil {
		return line, card.Reader{}, err
	}
	if number, err := d.before(ctx, h, w.Card); err != nil || number != "" {
		line.Card, line.Outcome = number, OutcomeAlready
		return line, card.Reader{}, err
	}
	if done.Name != "" && s.present(done) {
		d.Say("Take the card out.")
		if err := s.removed(ctx, done); err != nil {
			return line, card.Reader{}, err
		}
	}
	d.Say(fmt.Sprintf("Put in the card of %s (%s).", h.Name, place))
	return d.inHand(ctx, s, h, line)
}

// inHand waits for the card and adopts it. One that was pulled out in the middle
// is waited for again, so that it is not left half done.
func (d *Desk) inHand(ctx context.Context, s *slot, h store.Holder, line Line) (Line, card.Reader, error) {
	const again = 3
	number := line.Card
	for tries := 1; ; tries++ {
		r, err := s.card(ctx, 0, func(p *problem.Problem) { d.Say(fmt.Sprintf("%s. %s", p.Title, p.Next)) })
		if err != nil {
			return line, r, err
		}
		result, err := d.Card(ctx, r.Name, h, number)
		if name := shown(result.Identity); name != "" {
			line.Card = name
		}
		if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return line, r, err
		}
		line.Outcome, line.Problem = OutcomeAdopted, nil
		switch {
		case err != nil:
			line.Outcome, line.Problem = OutcomeNotAdopted, fault(err)
		case result.Already:
			line.Outcome = OutcomeAlready
		}
		if err == nil || tries == again || result.Identity.ID == "" || !journey.AtReader(line.Problem) {
			return line, r, ends(line.Problem)
		}
		number = result.Identity.ID
		d.Say(fmt.Sprintf("%s. Put the same card back in.", line.Problem.Title))
		if err := s.removed(ctx, r); err != nil {
			return line, r, err
		}
	}
}

// ends gives the problems that are not one card's, and would be every card's.
func ends(p *problem.Problem) error {
	if p == nil {
		return nil
	}
	switch p.Code {
	case problem.EscrowBehind, problem.JournalMissing, problem.JournalDamaged, problem.JournalFault, problem.DatabaseGone,
		problem.DatabaseReadOnly, problem.DiskFull, problem.InputEnded, problem.ProviderGone, problem.ProviderRefused:
		return p
	}
	return nil
}

// shown is how a card is called in a report.
func shown(id card.Identity) string {
	if id.Serial != "" {
		return id.Serial
	}
	return id.ID
}

// before gives the card of a holder that was adopted before: the one with this
// number or, without a number, any. "" where there is none.
func (d *Desk) before(ctx context.Context, h store.Holder, number string) (name string, err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		cards, err := tx.CardsOfHolder(ctx, h.ID)
		if err != nil {
			return err
		}
		for _, c := range cards {
			if number != "" && !directory.SameCard(number, c.Family, c.Identifier, c.Serial) {
				continue
			}
			switch stands, err := d.Escrow.Adoption(ctx, tx, c.ID); {
			case err != nil:
				return err
			case stands == escrow.Adopted:
				name = shown(card.Identity{ID: c.Identifier, Serial: c.Serial})
				return nil
			}
		}
		return nil
	})
	return name, err
}
