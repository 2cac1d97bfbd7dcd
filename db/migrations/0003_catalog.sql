-- Vendors, the tree of categories, products with their variants, pictures, and the table that listings and search read.

CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE TABLE vendor (
    id         uuid        PRIMARY KEY,
    slug       text        NOT NULL UNIQUE,
    name       text        NOT NULL,
    state      text        NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'closed')),
    version    integer     NOT NULL DEFAULT 1,
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
    version    integer     NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (path[cardinality(path)] = id AND cardinality(path) BETWEEN 1 AND 6)
);
CREATE INDEX category_parent ON category (parent_id);

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
CREATE INDEX product_category ON product (category_id);

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
-- Two variants on sale never look the same.
CREATE UNIQUE INDEX variant_options ON variant (product_id, options) WHERE state = 'active';

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

-- A variant's title: the product's name and the values that it differs in, in the order of the product's options.
CREATE FUNCTION variant_title(name text, options text[], chosen jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT name || coalesce(' (' || (SELECT string_agg(chosen ->> o.code, ', ' ORDER BY o.n)
                                     FROM unnest(options) WITH ORDINALITY o(code, n) WHERE chosen ? o.code) || ')', '')
$$;

-- Chinese, Japanese and Korean write no spaces between words: their text is searched by characters and pairs of
-- neighbours. Of a query (pairs_only) only pairs are taken where there are any, so that all of them have to occur.
CREATE FUNCTION cjk_grams(content text, pairs_only boolean) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    IF content !~ '[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]' THEN
        RETURN '{}'; -- most texts, and looking closer costs ten times as much
    END IF;
    RETURN (
        SELECT coalesce(array_agg(DISTINCT gram), '{}')
        FROM (SELECT (regexp_matches(content, '[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]+', 'g'))[1] AS run) runs,
             generate_series(1, length(run)) at,
             LATERAL (SELECT substr(run, at, 2) AS gram WHERE at < length(run)
                      UNION ALL
                      SELECT substr(run, at, 1) WHERE NOT pairs_only OR length(run) = 1) grams);
END
$$;

CREATE FUNCTION search_vector(name text, brand text, description text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT setweight(to_tsvector('english', name), 'A')
        || setweight(to_tsvector('english', coalesce(brand, '')), 'B')
        || setweight(to_tsvector('english', description), 'C')
        || setweight(array_to_tsvector(cjk_grams(concat_ws(' ', name, brand), false)), 'A')
        || setweight(array_to_tsvector(cjk_grams(description, false)), 'C')
$$;

-- What a person typed: words as web searches have them (quotes, or, a minus), and pairs of CJK characters.
CREATE FUNCTION search_query(typed text) RETURNS tsquery
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN cardinality(pairs) = 0 THEN websearch_to_tsquery('english', typed)
                WHEN words !~ '\w' THEN in_pairs
                ELSE websearch_to_tsquery('english', words) && in_pairs END
    FROM (SELECT cjk_grams(typed, true) AS pairs,
                 regexp_replace(typed, '[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]+', ' ', 'g') AS words) parts,
         LATERAL (SELECT string_agg(quote_literal(gram), ' & ')::tsquery AS in_pairs FROM unnest(pairs) gram) joined
$$;

-- What listings and search read: a row for each published product and currency that it has a price in. It holds nothing
-- that the other tables do not say: it is filled from the view listing_source (in 0005), and `cathay verify` compares the
-- two. card: the JSON that a listing answers with.
CREATE TABLE listing (
    product_id      uuid        NOT NULL,
    currency        char(3)     NOT NULL,
    vendor_id       uuid        NOT NULL,
    category_path   uuid[]      NOT NULL,
    brand           text,
    sort_name       text        NOT NULL, -- lower case, cut to what a cursor can carry
    search          tsvector    NOT NULL,
    facets          text[]      NOT NULL, -- 'material=leather': attributes, and the options of its variants
    price_minor     bigint      NOT NULL, -- the lowest of its variants
    in_stock        boolean     NOT NULL,
    published_at    timestamptz NOT NULL,
    card            text        NOT NULL, -- JSON
    PRIMARY KEY (product_id, currency)
) WITH (fillfactor = 80);
CREATE INDEX listing_facets ON listing USING gin (facets);
CREATE INDEX listing_search ON listing USING gin (search);

-- The lists that a product stands in: of everything, of each category from the root to its own, of its vendor, of its brand.
-- Each has its orders as indexes, so that a page of any list in any order is read from its beginning, however long the list.
CREATE TABLE listing_place (
    list_id      uuid        NOT NULL,
    currency     char(3)     NOT NULL,
    product_id   uuid        NOT NULL,
    published_at timestamptz NOT NULL,
    price_minor  bigint      NOT NULL,
    sort_name    text        NOT NULL,
    in_stock     boolean     NOT NULL,
    PRIMARY KEY (product_id, currency, list_id)
);
CREATE INDEX listing_place_newest ON listing_place (list_id, currency, published_at, product_id);
CREATE INDEX listing_place_price ON listing_place (list_id, currency, price_minor, product_id);
CREATE INDEX listing_place_name ON listing_place (list_id, currency, sort_name, product_id);

CREATE FUNCTION listing_of_brand(brand text) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT md5('brand ' || brand)::uuid $$;

-- The list to read for what was asked: a brand's is the shortest as a rule, that of everything (zero) the longest.
CREATE FUNCTION listing_to_read(category_id uuid, vendor_id uuid, brand text) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT coalesce(listing_of_brand(brand), category_id, vendor_id, '00000000-0000-0000-0000-000000000000') $$;

CREATE FUNCTION listing_lists(category_path uuid[], vendor_id uuid, brand text) RETURNS uuid[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT array_remove(category_path || ARRAY['00000000-0000-0000-0000-000000000000', vendor_id, listing_of_brand(brand)], NULL)
$$;

-- Words of names and brands, to correct what was typed wrongly. Words that no product has any more do no harm.
CREATE TABLE search_word (
    word text PRIMARY KEY
);
CREATE INDEX search_word_trigrams ON search_word USING gin (word gin_trgm_ops);

-- What was probably meant: each typed word replaced by the known one that is most like it; those that resemble none are left out;
-- NULL when none is left.
CREATE FUNCTION search_corrected(typed text) RETURNS tsquery
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT plainto_tsquery('english', string_agg(meant.word, ' '))
    FROM (SELECT DISTINCT each FROM regexp_split_to_table(lower(typed), '[^[:alnum:]]+') each WHERE length(each) >= 3) words
    CROSS JOIN LATERAL (
        SELECT w.word FROM search_word w
        WHERE w.word % words.each
        ORDER BY similarity(w.word, words.each) DESC, abs(length(w.word) - length(words.each)), w.word
        LIMIT 1
    ) meant
$$;
