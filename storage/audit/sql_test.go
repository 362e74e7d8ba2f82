package audit_test

import (
	"database/sql"
	"path/filepath"
)

// sql changes a file of a closed world behind everybody's back and returns how many rows it met.
func (w *world) sql(name, statement string) int64 {
	w.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(w.dir, name))
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	done, err := db.Exec(statement)
	if err != nil {
		w.t.Fatal(err)
	}
	n, err := done.RowsAffected()
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}
