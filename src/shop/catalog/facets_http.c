/* Facets of a listing. A facet's counts go by all that was asked for but what was chosen in that facet
 * itself. So there is a question for each facet with a choice, named by it, and one for all others, named "".
 * PostgreSQL finds the products to look at; they are counted here; then those values are named that are
 * shown. */
#include "shop/catalog/facets_http.h"

#include "base/check.h"
#include "facets_sql.h"
#include "shop/catalog/facets.h"

#include <stdlib.h>

#define QUESTIONS_MAX 16 /* vendor, brand, price, stock, eight attributes, all others */
#define BODY_MAX ((size_t)1024 * 1024)

struct question {
    struct str of;
    bool is_minimum;
    struct facet_tally tally;
};

struct group {
    struct str facet;
    struct facet_value *values; /* the greatest first */
    size_t count;
};

struct facets {
    struct request *req;
    const struct api_product_list *in;
    struct str_array attributes;
    bool corrected;
    struct question questions[QUESTIONS_MAX]; /* the first is "" */
    size_t question_count;
    struct listing_facet_products_rows sources;
    struct listing_facet_kept_rows kept;
    struct facet_value *values; /* by facet */
    size_t value_count;
    struct group *groups; /* of values, one for each facet */
    size_t group_count;
    struct listing_key_names_rows met; /* names of keys that the process had not met before */
    struct listing_facet_names_rows names;
};

static struct question *question_of(struct facets *facets, struct str of)
{
    for (size_t i = 0; i < facets->question_count; i++)
        if (str_equal(facets->questions[i].of, of))
            return &facets->questions[i];
    return NULL;
}

static void question_add(struct facets *facets, struct str of)
{
    CHECK(facets->question_count < QUESTIONS_MAX);
    if (!question_of(facets, of))
        facets->questions[facets->question_count++] = (struct question){.of = of};
}

static struct str facet_of(struct arena *arena, struct str attribute)
{
    struct str code = str_split(&attribute, '=');
    return arena_printf(arena, "=%.*s", STR_ARG(code));
}

static void questions_make(struct facets *facets)
{
    const struct api_product_list *in = facets->in;
    question_add(facets, STR(""));
    if (in->has_vendor_id)
        question_add(facets, STR("vendor"));
    if (in->has_brand)
        question_add(facets, STR("brand"));
    if (in->has_price_min || in->has_price_max)
        question_add(facets, STR("price"));
    if (in->in_stock)
        question_add(facets, STR("stock"));
    for (size_t i = 0; i < facets->attributes.count; i++)
        question_add(facets, facet_of(facets->req->arena, facets->attributes.items[i]));
}

/* Where nothing was chosen, or in one facet alone, the kept counts answer that question. */
static bool asks_kept(const struct facets *facets)
{
    return !facets->in->has_q && facets->question_count <= 2;
}

static bool asks_products(const struct facets *facets)
{
    return facets->in->has_q || facets->question_count > 1;
}

static enum error_code queue_products(struct facets *facets, struct str currency)
{
    const struct api_product_list *in = facets->in;
    return listing_facet_products_queue(facets->req->db,
                                        (struct listing_facet_products_args){
                                            .currency = currency,
                                            .category_id = {in->has_category_id, in->category_id},
                                            .vendor_id = {in->has_vendor_id, in->vendor_id},
                                            .brand = in->has_brand ? in->brand : STR_NONE,
                                            .facets = facets->attributes,
                                            .price_least = {in->has_price_min, in->price_min},
                                            .price_most = {in->has_price_max, in->price_max},
                                            .in_stock_only = in->in_stock,
                                            .typed = in->has_q ? in->q : STR_NONE,
                                            .corrected = facets->corrected,
                                        });
}

static enum error_code ask(struct pg *db, void *context)
{
    struct facets *facets = context;
    const struct api_product_list *in = facets->in;
    struct str currency = str_from(api_currency_names[in->currency - 1]);
    enum error_code code = pg_pipeline_begin(db);
    if (code)
        return code;
    /* To plan these takes longer than to run them. */
    code = pg_command_queue(db, "SET LOCAL plan_cache_mode = force_generic_plan");
    if (!code && asks_products(facets))
        code = queue_products(facets, currency);
    if (!code && asks_kept(facets))
        code = listing_facet_kept_queue(
            db, (struct listing_facet_kept_args){.currency = currency,
                                                 .category_id = {in->has_category_id, in->category_id},
                                                 .of = facets->question_count > 1 ? facets->questions[1].of
                                                                                  : STR_NONE});
    if (!code)
        code = pg_commit_queue(db);
    if (!code)
        code = pg_pipeline_sync(db);
    if (!code)
        code = pg_command_fetch(db);
    if (!code && asks_products(facets))
        code = listing_facet_products_fetch(db, facets->req->arena, &facets->sources);
    if (!code && asks_kept(facets))
        code = listing_facet_kept_fetch(db, facets->req->arena, &facets->kept);
    enum error_code end = pg_pipeline_end(db);
    return code ? code : end;
}

static void count_products(struct facets *facets)
{
    const struct api_product_list *in = facets->in;
    struct facet_choice *choices =
        ARENA_ARRAY(facets->req->arena, struct facet_choice, facets->attributes.count + 1);
    struct facet_filter filter = {{in->has_price_min, in->price_min},
                                  {in->has_price_max, in->price_max},
                                  in->in_stock,
                                  choices,
                                  facets->attributes.count};
    for (size_t i = 0; i < facets->attributes.count; i++)
        choices[i].facet = facet_of(facets->req->arena, facets->attributes.items[i]);
    for (size_t i = 0; i < facets->sources.count; i++) {
        const struct listing_facet_products_row *source = &facets->sources.items[i];
        CHECK(source->asked_keys.count == facets->attributes.count);
        for (size_t n = 0; n < source->asked_keys.count; n++)
            choices[n].key = source->asked_keys.items[n];
        for (size_t n = 0; n < source->questions.count; n++) {
            struct question *question = question_of(facets, source->questions.items[n]);
            CHECK(question);
            question->is_minimum = source->is_minimum;
            question->tally = facets_tally(facets->req->arena, source->products, question->of, &filter);
        }
    }
}

static enum error_code look_up_names(struct facets *facets)
{
    size_t most = 0, count = 0;
    for (size_t i = 0; i < facets->question_count; i++)
        most += facets->questions[i].tally.used;
    int64_t *keys = ARENA_ARRAY(facets->req->arena, int64_t, most + 1);
    for (size_t i = 0; i < facets->question_count; i++)
        for (size_t n = 0; n < facets->questions[i].tally.slot_count; n++) {
            const struct facet_count *slot = &facets->questions[i].tally.slots[n];
            if (slot->count && !facets_name(slot->key))
                keys[count++] = slot->key;
        }
    if (!count)
        return ERR_OK;
    struct listing_key_names_args args = {.keys = {keys, count}};
    enum error_code code = listing_key_names(facets->req->db, facets->req->arena, args, &facets->met);
    for (size_t i = 0; !code && i < facets->met.count; i++)
        facets_name_add(facets->met.items[i].key, facets->met.items[i].facet, facets->met.items[i].value);
    return code;
}

static struct facet_value named(const struct facets *facets, const struct facet_count *counted)
{
    const struct facet_name *name = facets_name(counted->key);
    if (name)
        return (struct facet_value){name->facet, name->value, counted->count, 0};
    for (size_t i = 0; i < facets->met.count; i++)
        if (facets->met.items[i].key == counted->key)
            return (struct facet_value){facets->met.items[i].facet, facets->met.items[i].value,
                                        counted->count, 0};
    return (struct facet_value){0};
}

/* Of each facet the values that its own question counts, or the one about all others. */
static void collect_values(struct facets *facets)
{
    const struct listing_facet_kept_rows *kept = &facets->kept;
    size_t most = kept->count;
    for (size_t i = 0; i < facets->question_count; i++)
        most += facets->questions[i].tally.used;
    facets->values = ARENA_ARRAY(facets->req->arena, struct facet_value, most + 1);
    for (size_t i = 0; i < kept->count; i++)
        facets->values[facets->value_count++] = (struct facet_value){
            kept->items[i].facet, kept->items[i].value, kept->items[i].count, kept->items[i].place};
    for (size_t i = 0; i < facets->question_count; i++)
        for (size_t n = 0; n < facets->questions[i].tally.slot_count; n++) {
            const struct facet_count *slot = &facets->questions[i].tally.slots[n];
            if (!slot->count)
                continue;
            struct facet_value value = named(facets, slot);
            const struct question *own = value.facet.ptr ? question_of(facets, value.facet) : NULL;
            if (value.facet.ptr && (own ? own : facets->questions) == &facets->questions[i])
                facets->values[facets->value_count++] = value;
        }
}

static void group_values(struct facets *facets)
{
    facets_sort(facets->values, facets->value_count);
    facets->groups = ARENA_ARRAY(facets->req->arena, struct group, facets->value_count + 1);
    for (size_t i = 0; i < facets->value_count; i++) {
        struct group *last = facets->group_count ? &facets->groups[facets->group_count - 1] : NULL;
        if (last && str_equal(last->facet, facets->values[i].facet))
            last->count++;
        else
            facets->groups[facets->group_count++] =
                (struct group){facets->values[i].facet, &facets->values[i], 1};
    }
}

static const struct group *group_of(const struct facets *facets, struct str facet)
{
    static const struct group none;
    for (size_t i = 0; i < facets->group_count; i++)
        if (str_equal(facets->groups[i].facet, facet))
            return &facets->groups[i];
    return &none;
}

/* That whose most frequent value more products have first; among equals by code, so that answers agree. */
static int attribute_compare(const void *left, const void *right)
{
    const struct group *a = *(const struct group *const *)left, *b = *(const struct group *const *)right;
    if (a->values->count != b->values->count)
        return a->values->count > b->values->count ? -1 : 1;
    return a < b ? -1 : a > b; /* groups are in the order of their facets */
}

static enum error_code look_up_shown(struct facets *facets)
{
    struct arena *arena = facets->req->arena;
    const struct group *vendors = group_of(facets, STR("vendor"));
    struct str *vendor_ids = ARENA_ARRAY(arena, struct str, FACET_VALUES_MAX);
    size_t vendor_count = 0, code_count = 0;
    for (; vendor_count < vendors->count && vendor_count < FACET_VALUES_MAX; vendor_count++)
        vendor_ids[vendor_count] = vendors->values[vendor_count].value;
    struct str *codes = ARENA_ARRAY(arena, struct str, facets->group_count + 1);
    const struct group **attributes = ARENA_ARRAY(arena, const struct group *, facets->group_count + 1);
    for (size_t i = 0; i < facets->group_count; i++)
        if (str_starts_with(facets->groups[i].facet, STR("=")))
            attributes[code_count++] = &facets->groups[i];
    if (code_count > FACET_ATTRIBUTES_MAX) {
        qsort(attributes, code_count, sizeof(*attributes), attribute_compare);
        code_count = FACET_ATTRIBUTES_MAX;
    }
    for (size_t i = 0; i < code_count; i++)
        codes[i] = (struct str){attributes[i]->facet.ptr + 1, attributes[i]->facet.len - 1};
    struct listing_facet_names_args args = {
        .category_id = {facets->in->has_category_id, facets->in->category_id},
        .vendors = {vendor_ids, vendor_count},
        .codes = {codes, code_count}};
    return listing_facet_names(facets->req->db, arena, args, &facets->names);
}

/* ── the answer ── */

static void put_minimum(struct buf *body, struct facets *facets, struct str facet)
{
    const struct question *own = question_of(facets, facet);
    BUF_LITERAL(body, "\"count_is_minimum\":");
    buf_append(body, (own ? own : facets->questions)->is_minimum ? STR("true") : STR("false"));
}

static void put_count(struct buf *body, int64_t count)
{
    BUF_LITERAL(body, ",\"count\":");
    buf_int(body, count);
    buf_char(body, '}');
}

static int64_t count_of(const struct facets *facets, struct str facet)
{
    const struct group *group = group_of(facets, facet);
    return group->count ? group->values->count : 0;
}

/* `{"count_is_minimum": …, "values": [{"name": value, "count": …} …` without what closes it, for the greatest
 * values, as many as there is room for. */
static void put_values(struct buf *body, struct facets *facets, struct str facet, const char *name)
{
    put_minimum(body, facets, facet);
    BUF_LITERAL(body, ",\"values\":[");
    const struct group *group = group_of(facets, facet);
    size_t begin = body->len;
    for (size_t i = 0; i < group->count && i < FACET_VALUES_MAX; i++) {
        size_t before = body->len;
        buf_printf(body, "%s{\"%s\":", i ? "," : "", name);
        buf_json_str(body, group->values[i].value);
        put_count(body, group->values[i].count);
        if (i && body->len - begin > FACET_BYTES_MAX) {
            body->len = before;
            break;
        }
    }
    buf_char(body, ']');
}

static void put_attributes(struct buf *body, struct facets *facets)
{
    BUF_LITERAL(body, ",\"attributes\":[");
    bool first = true;
    for (size_t i = 0; i < facets->names.count; i++) {
        const struct listing_facet_names_row *name = &facets->names.items[i];
        if (!str_equal(name->kind, STR("attribute")))
            continue;
        buf_append(body, first ? STR("{\"code\":") : STR(",{\"code\":"));
        buf_json_str(body, name->id);
        BUF_LITERAL(body, ",\"label\":");
        buf_json_str(body, name->name);
        buf_char(body, ',');
        put_values(body, facets, arena_printf(facets->req->arena, "=%.*s", STR_ARG(name->id)), "value");
        buf_char(body, '}');
        first = false;
    }
    buf_char(body, ']');
}

/* Vendors and categories: only what has a name is shown, of categories those right below. */
static void put_things(struct buf *body, struct facets *facets, struct str facet, const char *prefix)
{
    put_minimum(body, facets, facet);
    BUF_LITERAL(body, ",\"values\":[");
    const struct group *group = group_of(facets, facet);
    size_t shown = 0;
    for (size_t i = 0; i < group->count && shown < FACET_VALUES_MAX; i++) {
        size_t n = 0;
        while (n < facets->names.count && !(str_equal(facets->names.items[n].id, group->values[i].value) &&
                                            str_equal(facets->names.items[n].kind, facet)))
            n++;
        struct uuid id;
        if (n == facets->names.count || !uuid_parse(group->values[i].value, &id))
            continue;
        char text[ID_TEXT_MAX];
        struct str wire = {text, id_format(id, prefix, text)};
        buf_append(body, shown++ ? STR(",{\"id\":") : STR("{\"id\":"));
        buf_json_str(body, wire);
        BUF_LITERAL(body, ",\"name\":");
        buf_json_str(body, facets->names.items[n].name);
        put_count(body, group->values[i].count);
    }
    buf_char(body, ']');
}

static void put_prices(struct buf *body, struct facets *facets)
{
    int64_t counts[FACET_BANDS] = {0};
    const struct group *group = group_of(facets, STR("price"));
    size_t shown = 0;
    for (size_t i = 0; i < group->count; i++) {
        int64_t band;
        if (str_to_int64(group->values[i].value, &band) && band >= 1 && band <= FACET_BANDS)
            counts[band - 1] = group->values[i].count;
    }
    put_minimum(body, facets, STR("price"));
    BUF_LITERAL(body, ",\"values\":[");
    for (size_t band = 0; band < FACET_BANDS; band++) {
        if (!counts[band])
            continue;
        buf_append(body, shown++ ? STR(",{\"from_minor\":") : STR("{\"from_minor\":"));
        buf_int(body, facet_bands[band]);
        BUF_LITERAL(body, ",\"to_minor\":");
        if (band + 1 < FACET_BANDS)
            buf_int(body, facet_bands[band + 1] - 1);
        else
            BUF_LITERAL(body, "null");
        put_count(body, counts[band]);
    }
    buf_char(body, ']');
}

static void put_all(struct buf *body, struct facets *facets)
{
    BUF_LITERAL(body, "{\"total\":");
    buf_int(body, count_of(facets, STR("total")));
    buf_char(body, ',');
    put_minimum(body, facets, STR("total"));
    put_attributes(body, facets);
    BUF_LITERAL(body, ",\"brands\":{");
    put_values(body, facets, STR("brand"), "brand");
    BUF_LITERAL(body, "},\"vendors\":{");
    put_things(body, facets, STR("vendor"), "ven");
    BUF_LITERAL(body, "},\"categories\":{");
    put_things(body, facets, STR("category"), "cat");
    BUF_LITERAL(body, "},\"prices\":{");
    put_prices(body, facets);
    BUF_LITERAL(body, "},\"in_stock\":{");
    put_minimum(body, facets, STR("stock"));
    put_count(body, count_of(facets, STR("stock")));
    buf_char(body, '}');
}

enum error_code catalog_facets(struct request *req, const struct api_product_list *in,
                               struct str_array attributes, bool corrected, struct str *body)
{
    struct facets *facets = ARENA_NEW(req->arena, struct facets);
    facets->req = req;
    facets->in = in;
    facets->attributes = attributes;
    facets->corrected = corrected;
    questions_make(facets);
    enum error_code code = pg_transaction_of_pipelines(req->db, ask, facets);
    if (code)
        return code;
    count_products(facets);
    code = look_up_names(facets);
    if (code)
        return code;
    collect_values(facets);
    group_values(facets);
    code = look_up_shown(facets);
    if (code)
        return code;
    struct buf text = buf_new(BODY_MAX);
    put_all(&text, facets);
    if (text.overflow)
        code = error_set(&req->error, ERR_INTERNAL, "facets are larger than their buffer may be");
    else
        *body = arena_copy(req->arena, buf_str(&text));
    buf_free(&text);
    return code;
}
