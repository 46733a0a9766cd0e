package exhaustive

import "fmt"

// kind is a kind of fault.
type kind int8

// The faults of an attempt. Those "for a time" last longer than the client goes
// on trying by itself.
const (
	noFault kind = iota
	// at a command to the card
	tornBefore             // the card is torn out before it acts, and put back
	tornAfter              // after it has acted, its answer lost
	readerGone             // the reader is unplugged after the card has acted, and plugged in again
	appKilledBeforeCommand // the application is killed before the card acts
	appKilledAfterCommand  // after it has acted
	// at a message between application and service
	requestLost
	networkAway // requests are lost for a time
	replyLost
	repliesAway // replies are lost for a time
	twice       // the request arrives twice, the second reply comes
	earlierReply
	appKilledBeforeCall
	appKilledAfterCall
	hourOn // the service's clock jumps
	daysOn
	hourBack
	restored   // the database is restored from before the attempt; the operator reconciles
	failedOver // a replica takes over that lacks the newest commits; likewise
	// between service and database
	serviceKilledBefore // a commit
	serviceKilledAfter
	commitUnheard // the commit takes effect, and the service is told that it failed
	databaseGone  // for a time, from a statement on
	// as above, and the person tries again before the operator has reconciled
	restoredLate
	failedOverLate
)

// goesBack says whether the database goes back in time.
func (k kind) goesBack() bool { return k == restored || k == failedOver || k.late() }

// late says whether somebody tries before the database has been reconciled.
func (k kind) late() bool { return k == restoredLate || k == failedOverLate }

// groups are the kinds as they are counted, with their names.
func groups() []struct {
	name  string
	kinds []kind
} {
	return []struct {
		name  string
		kinds []kind
	}{
		{"card torn out before it acts", []kind{tornBefore}},
		{"card torn out after it has acted", []kind{tornAfter}},
		{"reader gone", []kind{readerGone}},
		{"request lost, once or for 10 s", []kind{requestLost, networkAway}},
		{"reply lost, once or for 10 s", []kind{replyLost, repliesAway}},
		{"request delivered twice", []kind{twice}},
		{"earlier reply delivered again", []kind{earlierReply}},
		{"application killed at a command", []kind{appKilledBeforeCommand, appKilledAfterCommand}},
		{"application killed at a message", []kind{appKilledBeforeCall, appKilledAfterCall}},
		{"service killed before a commit", []kind{serviceKilledBefore}},
		{"service killed after a commit", []kind{serviceKilledAfter}},
		{"commit done and reported as failed", []kind{commitUnheard}},
		{"database gone for 10 s", []kind{databaseGone}},
		{"clock jump (+1 h, +40 d, −1 h)", []kind{hourOn, daysOn, hourBack}},
		{"database restored from before", []kind{restored, restoredLate}},
		{"failover to a stale replica", []kind{failedOver, failedOverLate}},
	}
}

// fault is one that is to happen: at the nth command, call, commit or statement
// of an attempt, counted from 1. to is what a database goes back to: the nth
// commit of the attempt, 0 for its beginning, -1 for the beginning of all.
type fault struct {
	kind  kind
	n, to int
	fired bool
}

// is says whether a fault is of this kind and place, and then that it fired.
func (f *fault) is(k kind, n int) bool {
	if f == nil || f.kind != k || f.n != n {
		return false
	}
	f.fired = true
	return true
}

func (f *fault) String() string {
	for _, g := range groups() {
		for _, k := range g.kinds {
			if k == f.kind {
				return fmt.Sprintf("%s [%s]", g.name, f.id())
			}
		}
	}
	return "?"
}

// id names a fault for -only.
func (f *fault) id() string { return fmt.Sprintf("%d@%d>%d", f.kind, f.n, f.to) }

// trace is what an attempt without a fault consists of.
type trace struct {
	commands, calls, commits int
	statements               []event
	work                     marks // where the work on the card began
	before                   []int // how many commits there were before each call
}

type marks struct{ commands, calls, commits, statements int }

// faults are all faults that an attempt like this can have; work: those of the
// work on the card alone, with a database that goes away at the beginning or the
// end of a transaction: what it loses is the whole of it.
func (x trace) faults(work, again bool) []fault {
	from := marks{}
	if work {
		from = x.work
	}
	var all []fault
	for n := from.commands + 1; n <= x.commands; n++ {
		for k := tornBefore; k <= appKilledAfterCommand; k++ {
			all = append(all, fault{kind: k, n: n})
		}
	}
	for n := from.calls + 1; n <= x.calls; n++ {
		for k := requestLost; k <= hourBack; k++ {
			all = append(all, fault{kind: k, n: n})
		}
	}
	for n := from.commits + 1; n <= x.commits; n++ {
		for _, k := range []kind{serviceKilledBefore, serviceKilledAfter, commitUnheard} {
			all = append(all, fault{kind: k, n: n})
		}
	}
	for n := from.statements + 1; n <= len(x.statements); n++ {
		if !work || x.statements[n-1] != eventStatement {
			all = append(all, fault{kind: databaseGone, n: n})
		}
	}
	// Before each call, and when all is over.
	for n := from.calls + 1; n <= x.calls+1; n++ {
		have := x.commits
		if n <= x.calls {
			have = x.before[n-1]
		}
		if again {
			all = append(all, fault{kind: restored, n: n, to: -1}, fault{kind: restoredLate, n: n, to: -1})
		}
		if have == 0 {
			continue
		}
		all = append(all, fault{kind: restored, n: n}, fault{kind: restoredLate, n: n})
		for to := 1; to < have; to++ {
			all = append(all, fault{kind: failedOver, n: n, to: to}, fault{kind: failedOverLate, n: n, to: to})
		}
	}
	return all
}
