-- Vendors, the tree of categories, products with their variants, pictures.

CREATE TABLE vendor (
    id         uuid        PRIMARY KEY,
    slug       text        NOT NULL UNIQUE,
    name       text        NOT NULL,
    state      text        NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'closed')),
    created_at timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE users ADD CONSTRAINT users_vendor FOREIGN KEY (vendor_id) REFERENCES vendor;

CREATE TABLE category (
    id         uuid        PRIMARY KEY,
    parent_id  uuid        REFERENCES category,
    path       uuid[]      NOT NULL, -- from the root to this one
    slug       text        NOT NULL UNIQUE,
    name       text        NOT NULL,
    position   integer     NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- What attributes mean; a product's values are checked against it.
CREATE TABLE attribute (
    code     text PRIMARY KEY,
    label    text NOT NULL,
    type     text NOT NULL CHECK (type IN ('text', 'number', 'boolean', 'colour', 'choice')),
    choices  text[] NOT NULL DEFAULT '{}'
);

CREATE TABLE product (
    id            uuid        PRIMARY KEY,
    vendor_id     uuid        NOT NULL REFERENCES vendor,
    category_id   uuid        NOT NULL REFERENCES category,
    category_path uuid[]      NOT NULL, -- the category's, kept here for listings
    slug          text        NOT NULL UNIQUE,
    name          text        NOT NULL,
    description   text        NOT NULL DEFAULT '',
    brand         text,
    state         text        NOT NULL DEFAULT 'draft' CHECK (state IN ('draft', 'published', 'archived')),
    tender        text        NOT NULL DEFAULT 'any' CHECK (tender IN ('any', 'points_only', 'cash_only')),
    attributes    jsonb       NOT NULL DEFAULT '{}',
    options       text[]      NOT NULL DEFAULT '{}', -- what its variants differ in: {size,colour}
    version       integer     NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    published_at  timestamptz,
    CHECK ((state = 'draft') = (published_at IS NULL) OR state = 'archived')
);
CREATE INDEX product_vendor ON product (vendor_id, id);

CREATE TABLE variant (
    id           uuid        PRIMARY KEY,
    product_id   uuid        NOT NULL REFERENCES product,
    vendor_id    uuid        NOT NULL, -- the product's
    sku          text        NOT NULL UNIQUE,
    options      jsonb       NOT NULL DEFAULT '{}', -- {"size":"M","colour":"navy"}
    title        text        NOT NULL,              -- as it stands on an order line
    weight_grams integer     NOT NULL DEFAULT 0 CHECK (weight_grams >= 0),
    position     integer     NOT NULL DEFAULT 0,
    state        text        NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'archived')),
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX variant_product ON variant (product_id, position);

CREATE TABLE media (
    id           uuid        PRIMARY KEY,
    product_id   uuid        NOT NULL REFERENCES product,
    position     integer     NOT NULL DEFAULT 0,
    alt          text        NOT NULL DEFAULT '',
    content_type text        NOT NULL,
    content      bytea       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX media_product ON media (product_id, position);
