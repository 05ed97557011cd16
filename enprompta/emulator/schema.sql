-- Everything the emulator knows. Times are whole Unix seconds, so that what is filtered is what was shown.
-- A list is paged by its `number`: it grows with each row, never repeats, and so is a stable sort key.

CREATE TABLE IF NOT EXISTS accounts (
    id      TEXT PRIMARY KEY,
    tier    TEXT NOT NULL,
    key     TEXT NOT NULL UNIQUE,
    user_id TEXT NOT NULL UNIQUE,
    email   TEXT NOT NULL UNIQUE,
    name    TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS oauth_clients (
    id         TEXT PRIMARY KEY,
    secret     TEXT NOT NULL,
    account_id TEXT NOT NULL,
    scopes     TEXT NOT NULL  -- JSON list of text
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS oauth_tokens (
    token      TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    scopes     TEXT NOT NULL,  -- JSON list of text
    ends_at    REAL NOT NULL   -- the one time that is not whole: a token that is ended early ends at that very moment
) WITHOUT ROWID;

-- People without an account: those who were added to a team by an address that none of the accounts has.
CREATE TABLE IF NOT EXISTS users (
    address TEXT PRIMARY KEY,  -- the email, case-folded
    id      TEXT NOT NULL UNIQUE,
    email   TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS teams (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    name        TEXT NOT NULL,
    description TEXT,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS team_members (
    number    INTEGER PRIMARY KEY AUTOINCREMENT,
    id        TEXT NOT NULL UNIQUE,
    team_id   TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    user_id   TEXT NOT NULL,
    email     TEXT NOT NULL,
    name      TEXT,
    role      TEXT NOT NULL,
    joined_at INTEGER NOT NULL,
    UNIQUE (team_id, user_id)
);
CREATE INDEX IF NOT EXISTS team_members_user ON team_members (user_id, team_id);

CREATE VIEW IF NOT EXISTS team_facts AS
SELECT teams.*,
       (SELECT count(*) FROM team_members WHERE team_id = teams.id) AS member_count,
       (SELECT user_id FROM team_members WHERE team_id = teams.id AND role = 'OWNER' ORDER BY number) AS owner_id
FROM teams;

-- What an account pays for, and since when.
CREATE TABLE IF NOT EXISTS subscriptions (
    account_id TEXT PRIMARY KEY,
    since      INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS invoices (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    account_id   TEXT NOT NULL,
    amount       REAL NOT NULL,
    period_start INTEGER NOT NULL,
    period_end   INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS invoices_newest ON invoices (account_id, number);

-- Requests of a day: the daily window, and the history of usage.
CREATE TABLE IF NOT EXISTS request_days (
    account_id TEXT NOT NULL,
    start      INTEGER NOT NULL,
    requests   INTEGER NOT NULL,
    PRIMARY KEY (account_id, start)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS credits (
    account_id TEXT NOT NULL,
    month      TEXT NOT NULL,
    used       INTEGER NOT NULL,
    PRIMARY KEY (account_id, month)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS idempotency (
    account_id  TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    status      INTEGER NOT NULL,
    headers     TEXT NOT NULL,
    body        BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (account_id, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS idempotency_age ON idempotency (created_at);

CREATE TABLE IF NOT EXISTS prompts (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    account_id  TEXT NOT NULL,
    slug        TEXT NOT NULL,
    title       TEXT NOT NULL,
    content     TEXT NOT NULL,
    description TEXT,
    category    TEXT,
    tags        TEXT NOT NULL,     -- JSON list of text
    variables   TEXT NOT NULL,     -- JSON list of variables, as on the wire
    declared    INTEGER NOT NULL,  -- 1: the variables were given; 0: they follow the content
    visibility  TEXT NOT NULL,
    version     INTEGER NOT NULL,
    usage_count INTEGER NOT NULL DEFAULT 0,
    team_id     TEXT,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    UNIQUE (account_id, slug)
);
CREATE INDEX IF NOT EXISTS prompts_newest ON prompts (account_id, number);
CREATE INDEX IF NOT EXISTS prompts_slug ON prompts (slug);

-- The number to try next for a slug that is taken: finding it among 10,000 like-named prompts would be a scan.
CREATE TABLE IF NOT EXISTS slug_numbers (
    account_id TEXT NOT NULL,
    slug       TEXT NOT NULL,
    next       INTEGER NOT NULL,
    PRIMARY KEY (account_id, slug)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS prompt_versions (
    id         TEXT NOT NULL UNIQUE,
    prompt_id  TEXT NOT NULL REFERENCES prompts (id) ON DELETE CASCADE,
    version    INTEGER NOT NULL,
    content    TEXT NOT NULL,
    variables  TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (prompt_id, version)
);

-- A label that has no row here follows the newest version, if it is `production` or `latest`.
CREATE TABLE IF NOT EXISTS prompt_labels (
    prompt_id TEXT NOT NULL REFERENCES prompts (id) ON DELETE CASCADE,
    label     TEXT NOT NULL,
    version   INTEGER NOT NULL,
    PRIMARY KEY (prompt_id, label)
) WITHOUT ROWID;

-- An execution outlives its prompt: what was spent stays spent.
CREATE TABLE IF NOT EXISTS executions (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    account_id TEXT NOT NULL,
    prompt_id  TEXT NOT NULL,
    status     TEXT NOT NULL,
    output     TEXT,
    tokens     INTEGER NOT NULL,
    cost       REAL NOT NULL,
    latency    INTEGER NOT NULL,
    provider   TEXT NOT NULL,
    model      TEXT NOT NULL,
    variables  TEXT NOT NULL,
    error      TEXT,
    created_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS executions_newest ON executions (account_id, number);

CREATE TABLE IF NOT EXISTS templates (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    title       TEXT NOT NULL,
    content     TEXT NOT NULL,
    description TEXT NOT NULL,
    category    TEXT NOT NULL,
    tags        TEXT NOT NULL,
    variables   TEXT NOT NULL,
    usage_count INTEGER NOT NULL DEFAULT 0,
    created_at  INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS webhooks (
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT NOT NULL UNIQUE,
    account_id    TEXT NOT NULL,
    name          TEXT NOT NULL,
    description   TEXT,
    url           TEXT NOT NULL,
    events        TEXT NOT NULL,               -- JSON list of text
    secret        TEXT NOT NULL,
    is_active     INTEGER NOT NULL DEFAULT 1,
    failure_count INTEGER NOT NULL DEFAULT 0,  -- deliveries that failed since the last that did not
    last_success  INTEGER,
    last_failure  INTEGER,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS webhooks_newest ON webhooks (account_id, number);

CREATE TABLE IF NOT EXISTS deliveries (
    number           INTEGER PRIMARY KEY AUTOINCREMENT,
    id               TEXT NOT NULL UNIQUE,
    webhook_id       TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    event_id         TEXT NOT NULL,
    event_type       TEXT NOT NULL,
    body             BLOB NOT NULL,               -- what is sent, to the byte, each time
    status           TEXT NOT NULL,
    attempts         INTEGER NOT NULL DEFAULT 0,
    earlier_attempts INTEGER NOT NULL DEFAULT 0,  -- attempts before it was asked to be sent again
    response_status  INTEGER,
    latency_ms       INTEGER,
    created_at       INTEGER NOT NULL,
    delivered_at     INTEGER
);
CREATE INDEX IF NOT EXISTS deliveries_newest ON deliveries (webhook_id, number);
CREATE INDEX IF NOT EXISTS deliveries_unfinished ON deliveries (number) WHERE status IN ('PENDING', 'RETRYING');

CREATE TABLE IF NOT EXISTS workflows (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    account_id  TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT,
    steps       TEXT NOT NULL,  -- JSON list of steps, as on the wire
    team_id     TEXT,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS workflows_newest ON workflows (account_id, number);

CREATE TABLE IF NOT EXISTS workflow_executions (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    account_id   TEXT NOT NULL,  -- who pays
    workflow_id  TEXT NOT NULL REFERENCES workflows (id) ON DELETE CASCADE,
    status       TEXT NOT NULL,
    input        TEXT NOT NULL,  -- JSON object
    output       TEXT,
    error        TEXT,
    created_at   INTEGER NOT NULL,
    started_at   INTEGER,
    completed_at INTEGER
);
CREATE INDEX IF NOT EXISTS workflow_executions_newest ON workflow_executions (workflow_id, number);
CREATE INDEX IF NOT EXISTS workflow_executions_unfinished ON workflow_executions (number)
    WHERE status IN ('pending', 'running');

CREATE TABLE IF NOT EXISTS workflow_steps (
    run_id       TEXT NOT NULL REFERENCES workflow_executions (id) ON DELETE CASCADE,
    position     INTEGER NOT NULL,
    step_id      TEXT NOT NULL,
    definition   TEXT NOT NULL,  -- JSON, the step as it was when the run was asked for
    status       TEXT NOT NULL,
    execution_id TEXT,
    output       TEXT,
    error        TEXT,
    tokens       INTEGER NOT NULL DEFAULT 0,
    cost         REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, position),
    UNIQUE (run_id, step_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS workflow_steps_running ON workflow_steps (run_id) WHERE status = 'running';
