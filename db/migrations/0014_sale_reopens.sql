-- Units that come back to a sold-out sale are sold from reopens_at on. Until then every server has seen that they came back: no picture that
-- says "sold out" is older than the first order for them, so that whoever has bought is never refused by one.
ALTER TABLE sale ADD COLUMN reopens_at timestamptz NOT NULL DEFAULT to_timestamp(0);

CREATE OR REPLACE FUNCTION sale_state(s sale) RETURNS text
LANGUAGE sql STABLE
AS $$ SELECT CASE WHEN s.cancelled_at IS NOT NULL THEN 'cancelled' WHEN now() >= s.ends_at THEN 'ended' WHEN now() < s.starts_at THEN 'upcoming'
                  WHEN s.sold >= s.quantity OR now() < s.reopens_at THEN 'sold_out' ELSE 'open' END $$;
