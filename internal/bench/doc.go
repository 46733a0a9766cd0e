// Package bench measures what people and operators wait for: the time from
// Confirm to an unlocked card, from the start of the application to its first
// page, and how many unlocks the service gets done. It holds no code.
//
// A figure of one machine says little. So each benchmark also measures, in the
// same run, the least that the same work could take: the bare commands to the
// card, the program doing nothing, the database's own commits. What counts is
// how many times that it takes.
package bench
