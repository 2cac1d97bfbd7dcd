-- Searches ask samples of the products by pairs of words, and of more sizes. (The index is made by the next file, and read from the one behind it on.)

-- What a listing is found by in the samples: one product in 2, one in 4 … one in 512, drawn by the last bits of their ids, with the currency and
-- the sample's level before each word ('HKD3~shirt' is one in 8). So a search finds a sample that has the 60 products that it looks for, and hardly more.
-- And each two words of the name, in all products (level 0) and in the samples ('HKD3~shirt silk'): who types two words finds the products in
-- one list of the index, instead of joining two that grow with the shop, and those first that have both in their names.
CREATE FUNCTION search_samples(search tsvector, product_id uuid, currency char(3)) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    drawn CONSTANT integer := get_byte(uuid_send(product_id), 14) * 256 + get_byte(uuid_send(product_id), 15);
    words text[];
    name_words text[]; -- that many, which is most names as a whole: pairs grow by their square
    found text[] := '{}';
BEGIN
    words := ARRAY(SELECT lexeme FROM unnest(tsvector_to_array(search)) lexeme WHERE octet_length(lexeme) < 1000);
    name_words := ARRAY(SELECT n.lexeme
                        FROM (SELECT w.lexeme FROM unnest(search) w WHERE 'A' = ANY (w.weights) AND octet_length(w.lexeme) < 1000
                              ORDER BY w.positions[1] LIMIT 12) n
                        ORDER BY n.lexeme COLLATE "C");
    FOR level IN 0..9 LOOP
        EXIT WHEN drawn & ((1 << level) - 1) <> 0;
        IF level > 0 THEN
            found := found || ARRAY(SELECT currency || level || '~' || word FROM unnest(words) word);
        END IF;
        FOR n IN 1..cardinality(name_words) - 1 LOOP
            found := found || ARRAY(SELECT currency || level || '~' || name_words[n] || ' ' || other FROM unnest(name_words[n + 1:]) other);
        END LOOP;
    END LOOP;
    RETURN array_to_tsvector(found);
END
$$;

-- A question to a sample. Where words have to stand side by side, whoever asks looks at that himself.
CREATE FUNCTION search_in_sample(words text, currency text, level integer) RETURNS tsquery
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE -- of SQL it would be planned anew for each search
AS $$
BEGIN
    RETURN regexp_replace(regexp_replace(words, ' <(-|\d+)> ', ' & ', 'g'), '''((?:[^'']|'''')+)''', '''' || currency || level || '~\1''', 'g');
END
$$;

-- The same by pairs of words; NULL where it is not that several words are all asked for.
CREATE FUNCTION search_pairs(words text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    lexemes text[];
    pairs text;
BEGIN
    IF words !~ '^''[^''\\]+''( & ''[^''\\]+'')+$' THEN
        RETURN NULL;
    END IF;
    lexemes := ARRAY(SELECT DISTINCT word COLLATE "C" FROM unnest(string_to_array(btrim(words, ''''), ''' & ''')) word ORDER BY 1);
    FOR n IN 2..cardinality(lexemes) LOOP
        pairs := concat_ws(' & ', pairs, '''' || lexemes[n - 1] || ' ' || lexemes[n] || '''');
    END LOOP;
    RETURN pairs;
END
$$;
