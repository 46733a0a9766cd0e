package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"

	"latchkey/internal/problem"
)

//go:embed migrations
var migrations embed.FS

// migrationLock is the advisory lock that nodes take turns with: "latchkey" in
// ASCII.
const migrationLock = 0x6c617463686b6579

// migrationTries is how often processes that start at once on one SQLite file
// may be in each other's way.
const migrationTries = 5

// prepare checks the database and brings its tables up to date.
func (db *DB) prepare(ctx context.Context) error {
	if db.dialect == PostgreSQL {
		return db.preparePostgres(ctx)
	}
	var err error
	for attempt := range migrationTries {
		// Migrations are transactions: what failed because another process
		// was first is found done at the next look.
		if err = db.migrate(ctx, goose.DialectSQLite3, riversqlite.New(db.write)); err == nil || faultCode(err) == problem.DatabaseReadOnly {
			return err
		}
		if sqliteCode(err) == 0 || db.pause(ctx, attempt) != nil {
			return err
		}
	}
	return err
}

// preparePostgres migrates while it holds an advisory lock.
func (db *DB) preparePostgres(ctx context.Context) (err error) {
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	var commit string
	if err := conn.QueryRowContext(ctx, `SHOW synchronous_commit`).Scan(&commit); err != nil {
		return err
	}
	if commit != "on" && commit != "remote_apply" {
		return problem.Wrap(problem.ConfigInvalid,
			fmt.Errorf("PostgreSQL has synchronous_commit=%s: unlocking keys could be lost after a card has taken them", commit))
	}
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(migrationLock)); err != nil {
		return fmt.Errorf("take the migration lock: %w", err)
	}
	defer func() {
		_, unlockErr := conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(migrationLock))
		err = errors.Join(err, unlockErr)
	}()
	return db.migrate(ctx, goose.DialectPostgres, riverdatabasesql.New(db.write))
}

// migrate runs our migrations and those of the job queue.
func (db *DB) migrate(ctx context.Context, dialect goose.Dialect, driver riverdriver.Driver[*sql.Tx]) error {
	folder, err := fs.Sub(migrations, "migrations/"+db.dialect)
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(dialect, db.write, folder, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	have, want, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if have > want {
		return problem.Wrap(problem.DatabaseNewer, fmt.Errorf("the database has schema %d, this program knows %d", have, want))
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	jobs, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: db.log})
	if err != nil {
		return fmt.Errorf("read migrations of the job queue: %w", err)
	}
	if _, err := jobs.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrate the job queue: %w", err)
	}
	if have != want {
		db.log.InfoContext(ctx, "database migrated", "from", have, "to", want)
	}
	return nil
}
