-- The same tasks in words that each change of a task is asked sooner: for a list of states SQLite makes a table of them, each time anew.
DROP INDEX tasks_open;

CREATE INDEX tasks_open ON tasks ("order", run, account)
    WHERE state <> 'succeeded' AND state <> 'failed' AND state <> 'cancelled' AND held = 0;
