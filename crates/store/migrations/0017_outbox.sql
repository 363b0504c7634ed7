-- Messages to the world outside: reviews, checks, mail, webhooks. A message is put in the transaction of what it tells, under
-- a key of its own, and sent by the coordinator that leads.

CREATE TABLE outbox (
    -- What the message is, such as a try run and a point of its life: a second one with the same key is none.
    key TEXT PRIMARY KEY,
    -- Random: by it, a message is found where it was posted.
    marker TEXT NOT NULL,
    -- Grows in the order in which messages were put. Those to one target go out in this order.
    seq BIGINT NOT NULL,
    -- gerrit, github, mail, webhook
    channel TEXT NOT NULL,
    -- Whom or what it goes to, within the channel.
    target TEXT NOT NULL,
    -- JSON, of the channel's form.
    body TEXT NOT NULL,
    -- waiting, taken (somebody sends it, or was when they died), sent, given_up
    state TEXT NOT NULL,
    -- Of who took it last; 0 for nobody.
    fence BIGINT NOT NULL,
    -- How often it was taken.
    attempts BIGINT NOT NULL,
    -- Not tried before then.
    not_before_us BIGINT NOT NULL,
    -- Why the last attempt came to nothing; of one that was sent, what is missing in it.
    last_error TEXT,
    created_us BIGINT NOT NULL,
    -- When it was sent or given up.
    ended_us BIGINT
);

CREATE INDEX outbox_open ON outbox (state, channel, seq);
CREATE INDEX outbox_target ON outbox (channel, target, seq);
CREATE INDEX outbox_ended ON outbox (state, ended_us);
