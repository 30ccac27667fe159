-- Times are Unix milliseconds. What is written as JSON is written by the program alone.

-- One time that an alert fired. `round` counts how often one that was over came back under the same start.
CREATE TABLE incident (
    id INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    starts_at INTEGER NOT NULL,
    round INTEGER NOT NULL DEFAULT 1,
    status TEXT NOT NULL CHECK (status IN ('firing', 'resolved')),
    ends_at INTEGER,
    alert TEXT NOT NULL,
    receiver TEXT NOT NULL,
    external_url TEXT NOT NULL,
    first_received INTEGER NOT NULL,
    last_received INTEGER NOT NULL,
    resolved_received INTEGER,
    -- When a firing came after the resolve, which may be late, or the truth.
    fired_late INTEGER,
    notifications INTEGER NOT NULL DEFAULT 1,
    acknowledged_by TEXT,
    acknowledged_at INTEGER,
    -- The silence because of which Alertmanager does not tell of it; alone, its end may have come meanwhile, and no card
    -- says anything.
    silence_id TEXT,
    silenced_by TEXT,
    silenced_until INTEGER,
    -- From version 2 on, and at the end, because an older store gets them by ALTER TABLE.
    -- The fingerprint of the alert that inhibits it.
    inhibited_by TEXT,
    -- Whether it was ever found in Alertmanager.
    in_alertmanager INTEGER NOT NULL DEFAULT 0,
    -- The start that its end came with, where that is another one.
    ended_as INTEGER,
    UNIQUE (fingerprint, starts_at, round)
) STRICT;
CREATE INDEX incident_fired_late ON incident (fired_late) WHERE fired_late IS NOT NULL;
CREATE INDEX incident_silenced ON incident (silenced_until) WHERE silenced_until IS NOT NULL;
CREATE INDEX incident_firing ON incident (fingerprint) WHERE status = 'firing';
CREATE INDEX incident_last_received ON incident (last_received);

-- Something that stands in a chat, or is to. `urgency` is NULL where there is nothing to do.
CREATE TABLE card (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    chat TEXT NOT NULL,
    diverted_from TEXT,
    diverted_because TEXT,
    kind TEXT NOT NULL CHECK (kind IN ('incidents', 'message', 'progress')),
    content TEXT,
    -- What a progress, or a message that must not be there twice, is known by to who sends it.
    key TEXT,
    created INTEGER NOT NULL,
    desired INTEGER NOT NULL DEFAULT 1,
    sent INTEGER NOT NULL DEFAULT 0,
    sent_at INTEGER,
    urgency INTEGER,
    not_before INTEGER NOT NULL DEFAULT 0,
    level TEXT NOT NULL DEFAULT 'html' CHECK (level IN ('html', 'plain', 'line')),
    attempts INTEGER NOT NULL DEFAULT 0,
    -- When a call was begun whose outcome is not written down yet.
    in_flight INTEGER,
    uncertain INTEGER NOT NULL DEFAULT 0,
    last_failure TEXT,
    document INTEGER,
    UNIQUE (chat, key)
) STRICT;
CREATE INDEX card_to_do ON card (chat, urgency, id, not_before) WHERE urgency IS NOT NULL;
CREATE INDEX card_put_off ON card (chat, not_before) WHERE urgency IS NOT NULL AND not_before > 0;
CREATE INDEX card_unsent ON card (chat) WHERE urgency IS NOT NULL AND kind = 'incidents' AND sent = 0;
CREATE INDEX card_key ON card (key) WHERE key IS NOT NULL;

CREATE TABLE card_incident (
    card INTEGER NOT NULL REFERENCES card (id) ON DELETE CASCADE,
    incident INTEGER NOT NULL REFERENCES incident (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    told TEXT NOT NULL DEFAULT 'nothing' CHECK (told IN ('nothing', 'firing', 'resolved')),
    PRIMARY KEY (card, incident)
) STRICT, WITHOUT ROWID;
CREATE INDEX card_incident_incident ON card_incident (incident);

-- The messages that were sent for a card.
CREATE TABLE part (
    card INTEGER NOT NULL REFERENCES card (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    chat_id INTEGER NOT NULL,
    thread INTEGER,
    message INTEGER NOT NULL,
    text TEXT NOT NULL,
    keyboard TEXT NOT NULL,
    PRIMARY KEY (card, position)
) STRICT, WITHOUT ROWID;

-- What is known of a chat from writing to it.
CREATE TABLE chat (
    name TEXT PRIMARY KEY,
    -- The chat and topic that the rest is known of; where the configuration names another one, it is void.
    chat_id INTEGER NOT NULL,
    thread INTEGER,
    not_before INTEGER NOT NULL DEFAULT 0,
    thread_gone TEXT,
    thread_gone_at INTEGER,
    unreachable_since INTEGER,
    unreachable_because TEXT,
    try_again INTEGER
) STRICT, WITHOUT ROWID;

-- Groups that have become supergroups.
CREATE TABLE migrated_chat (
    old INTEGER PRIMARY KEY,
    new INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT;

-- What can be pressed, once.
CREATE TABLE button (
    nonce TEXT PRIMARY KEY,
    card INTEGER NOT NULL REFERENCES card (id) ON DELETE CASCADE,
    action TEXT NOT NULL,
    chat_id INTEGER,
    message INTEGER,
    created INTEGER NOT NULL,
    used INTEGER,
    used_by INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX button_card ON button (card);

-- What was pressed, by whom, and what came of it.
CREATE TABLE press (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    user_name TEXT NOT NULL,
    chat_id INTEGER,
    message INTEGER,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL
) STRICT;

-- Requests that were refused.
CREATE TABLE refusal (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    reason TEXT NOT NULL,
    head TEXT NOT NULL
) STRICT;

-- Heartbeats: alerts that always fire.
CREATE TABLE heartbeat (
    fingerprint TEXT PRIMARY KEY,
    labels TEXT NOT NULL,
    last INTEGER NOT NULL,
    -- The incident that tells of its absence.
    missing INTEGER REFERENCES incident (id) ON DELETE SET NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE fact (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
