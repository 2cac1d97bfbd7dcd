-- no-transaction
-- Staff's list of parcels that need somebody.
CREATE INDEX CONCURRENTLY shipment_trouble ON shipment (id) WHERE problem IS NOT NULL OR state IN ('created', 'failure', 'error');
