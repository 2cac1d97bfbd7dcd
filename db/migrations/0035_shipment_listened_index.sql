-- no-transaction
-- Parcels that the carrier is asked about: a failed attempt to deliver is no end. The release before uses shipment_open, which a later one drops.
CREATE INDEX CONCURRENTLY shipment_listened ON shipment (coalesce(polled_at, created_at)) WHERE state NOT IN ('delivered', 'return_to_sender', 'cancelled');
