-- The emulator's database. Times are whole Unix seconds, so that filters use the same values that the API shows.
-- Lists are paged by `number`, which increases with each row and is never reused: a stable sort key.

CREATE TABLE IF NOT EXISTS accounts (
    id      TEXT PRIMARY KEY,
    tier    TEXT NOT NULL,
    key     TEXT NOT NULL UNIQUE,
    user_id TEXT NOT NULL UNIQUE,
    email   TEXT NOT NULL UNIQUE,
    name    TEXT NOT NULL
);

-- A revoked key keeps its row, so that it stays revoked after a restart.
CREATE TABLE IF NOT EXISTS api_keys (
    id         TEXT PRIMARY KEY,
    key        TEXT NOT NULL UNIQUE,
    account_id TEXT NOT NULL,
    name       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) WITHOUT ROWID;

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
    ends_at    REAL NOT NULL   -- not a whole second: `expire_tokens` expires tokens at that very moment
) WITHOUT ROWID;

-- Team members without an account: users added by an email address that no account has.
CREATE TABLE IF NOT EXISTS users (
    address TEXT PRIMARY KEY,  -- the email address, case-folded
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

-- Start of each account's subscription.
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

-- Requests per day, for the daily rate limit and the usage history.
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
    variables   TEXT NOT NULL,     -- JSON list of variables, in the API's form
    declared    INTEGER NOT NULL,  -- 1: the variables were given; 0: they are derived from the content
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

-- The next number to try for a slug that is taken; without it, many prompts of one name would need a scan.
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

-- Without a row, `production` and `latest` point at the newest version; other labels do not exist.
CREATE TABLE IF NOT EXISTS prompt_labels (
    prompt_id TEXT NOT NULL REFERENCES prompts (id) ON DELETE CASCADE,
    label     TEXT NOT NULL,
    version   INTEGER NOT NULL,
    PRIMARY KEY (prompt_id, label)
) WITHOUT ROWID;

-- Executions remain when their prompt is deleted, because they are part of the usage.
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
    failure_count INTEGER NOT NULL DEFAULT 0,  -- failed deliveries since the last successful one
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
    body             BLOB NOT NULL,               -- the bytes to send, identical in every attempt
    status           TEXT NOT NULL,
    attempts         INTEGER NOT NULL DEFAULT 0,
    earlier_attempts INTEGER NOT NULL DEFAULT 0,  -- attempts before the last manual retry
    response_status  INTEGER,
    latency_ms       INTEGER,
    created_at       INTEGER NOT NULL,
    delivered_at     INTEGER
);
CREATE INDEX IF NOT EXISTS deliveries_newest ON deliveries (webhook_id, number);
CREATE INDEX IF NOT EXISTS deliveries_unfinished ON deliveries (number) WHERE status IN ('PENDING', 'RETRYING');

CREATE TABLE IF NOT EXISTS delivery_attempts (
    delivery_id     TEXT NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    number          INTEGER NOT NULL,
    at              REAL NOT NULL,  -- real time, unlike the other times
    signature       TEXT NOT NULL,
    response_status INTEGER,
    latency_ms      INTEGER NOT NULL,
    answer          BLOB NOT NULL,  -- the start of the receiver's response, without the status line
    PRIMARY KEY (delivery_id, number)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS workflows (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    account_id  TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT,
    steps       TEXT NOT NULL,  -- JSON list of steps, in the API's form
    team_id     TEXT,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS workflows_newest ON workflows (account_id, number);

CREATE TABLE IF NOT EXISTS workflow_executions (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    account_id   TEXT NOT NULL,  -- the account that pays
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
    definition   TEXT NOT NULL,  -- JSON, the step at the time the run was created
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

-- Traces that were recorded, and traces whose spans were ingested. A trace without input or output is not shown.
CREATE TABLE IF NOT EXISTS traces (
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT NOT NULL,  -- of an ingested trace, OpenTelemetry's trace id
    account_id    TEXT NOT NULL,
    user_id       TEXT NOT NULL,
    prompt_id     TEXT,
    session_id    TEXT,
    provider      TEXT NOT NULL,
    model         TEXT NOT NULL,
    input         TEXT NOT NULL,
    output        TEXT NOT NULL,
    system_prompt TEXT,
    temperature   REAL,
    max_tokens    INTEGER,
    top_p         REAL,
    input_tokens  INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    latency_ms    REAL NOT NULL,
    cost          REAL NOT NULL,
    status        TEXT NOT NULL,
    error_message TEXT,
    error_code    TEXT,
    finish_reason TEXT,
    environment   TEXT NOT NULL,
    metadata      TEXT NOT NULL,  -- JSON object
    created_at    INTEGER NOT NULL,
    UNIQUE (account_id, id)
);
CREATE INDEX IF NOT EXISTS traces_newest ON traces (account_id, number);
CREATE INDEX IF NOT EXISTS traces_session ON traces (account_id, session_id);

CREATE TABLE IF NOT EXISTS trace_spans (
    number         INTEGER PRIMARY KEY AUTOINCREMENT,
    id             TEXT NOT NULL,
    account_id     TEXT NOT NULL,
    trace_id       TEXT NOT NULL,
    parent_span_id TEXT,
    name           TEXT NOT NULL,
    span_type      TEXT NOT NULL,
    input          TEXT NOT NULL,     -- JSON
    output         TEXT NOT NULL,     -- JSON
    start_time     INTEGER NOT NULL,  -- Unix nanoseconds
    end_time       INTEGER,
    tokens         INTEGER,
    cost           REAL,
    status         TEXT NOT NULL,
    error_message  TEXT,
    metadata       TEXT NOT NULL,     -- JSON object
    facts          TEXT NOT NULL,     -- JSON object: what an ingested span says about its trace
    UNIQUE (account_id, trace_id, id)
);
