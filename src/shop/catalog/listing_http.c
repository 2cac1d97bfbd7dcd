/* Browsing and search. */
#include "api.h"
#include "base/clock.h"
#include "http/cursor.h"
#include "listing_sql.h"
#include "shop/catalog/catalog.h"
#include "shop/catalog/facets_http.h"

#include <stdio.h>

/* Where a page ended. A cursor belongs to one order: `order` tells which. Of the text only what is used goes
 * into the cursor. */
#define SORT_NAME_BYTES_MAX 192 /* 48 code points */
struct listing_position {
    char order;
    int64_t number;
    struct product_id id;
    char text[SORT_NAME_BYTES_MAX];
} __attribute__((packed));
#define POSITION_FIXED_BYTES offsetof(struct listing_position, text)

/* As it is used: the position and what its cursor's length says. */
struct listing_from {
    struct listing_position at;
    size_t text_length;
};

enum order { NEWEST = 'n', PRICE_UP = 'u', PRICE_DOWN = 'd', NAME = 'a', RELEVANT = 'r', SIMILAR = 's' };

/* A page as each of the queries gives it. */
struct page {
    struct str items;
    bool more;
    struct opt_int64 number;
    struct str text;
    struct opt_product_id id;
};

/* Besides being ours: of an order whose sort keys it can hold. A search may have gone on among similar
 * words. */
static bool position_fits(const struct listing_from *from, enum order order)
{
    const struct listing_position *at = &from->at;
    bool order_fits = at->order == (char)order || (order == RELEVANT && at->order == SIMILAR);
    bool by_number = order == NEWEST || order == PRICE_UP || order == PRICE_DOWN;
    return order_fits && (!by_number || (at->number >= 0 && at->number <= CLOCK_LAST_US)) &&
           (order == NAME || from->text_length == 0) &&
           str_is_utf8((struct str){at->text, from->text_length}) && !memchr(at->text, 0, from->text_length);
}

static enum error_code position_read(struct request *req, struct str cursor, enum order order,
                                     struct listing_from *from)
{
    size_t bytes;
    if (!cursor_open(str_from(req->route->operation_id), cursor, &from->at, POSITION_FIXED_BYTES,
                     sizeof from->at, &bytes))
        return cursor_refuse(req);
    from->text_length = bytes - POSITION_FIXED_BYTES;
    return position_fits(from, order) ? ERR_OK : cursor_refuse(req);
}

static enum error_code respond_listing(struct request *req, enum order order, const struct page *page,
                                       struct str facets)
{
    struct listing_position last = {.order = (char)order, .number = page->number.value, .id = page->id.value};
    size_t text_length = page->text.len < SORT_NAME_BYTES_MAX ? page->text.len : SORT_NAME_BYTES_MAX;
    if (text_length)
        memcpy(last.text, page->text.ptr, text_length);
    size_t bytes = POSITION_FIXED_BYTES + text_length;
    request_cache_tag(req, STR("product"), (struct uuid){{0}});
    request_cache_tag(req, STR("vendor"), (struct uuid){{0}});
    request_cache_tag(req, STR("listing"), (struct uuid){{0}}); /* a vendor opens again, in steps */
    if (!facets.ptr)
        return respond_items(req, page->items, page->more, &last, bytes);
    struct buf body = buf_new(BUF_DEFAULT_MAX);
    BUF_LITERAL(&body, "{\"items\":");
    buf_append(&body, page->items);
    BUF_LITERAL(&body, ",\"next_cursor\":");
    buf_json_str(&body, page->more ? cursor_encode(req, &last, bytes) : STR_NONE);
    BUF_LITERAL(&body, ",\"facets\":");
    buf_append(&body, facets);
    buf_char(&body, '}');
    return respond_buf(req, 200, &body);
}

/* Whether more is asked for than to stand in one list. */
static bool is_by_keys(const struct api_product_list *in)
{
    return in->has_category_id + in->has_vendor_id + in->has_brand > 1 ||
           (in->has_attribute && in->attribute.count);
}

/* The arguments that all listing queries share, under the same names. */
#define LISTING_ARGS(query)                                                                                  \
    struct query##_args args = {.currency = str_from(api_currency_names[in->currency - 1]),                  \
                                .category_id = {in->has_category_id, in->category_id},                       \
                                .vendor_id = {in->has_vendor_id, in->vendor_id},                             \
                                .brand = in->has_brand ? in->brand : STR_NONE,                               \
                                .price_least = {in->has_price_min, in->price_min},                           \
                                .price_most = {in->has_price_max, in->price_max},                            \
                                .in_stock_only = in->in_stock,                                               \
                                .typed = in->has_q ? in->q : STR_NONE,                                       \
                                .after_id = {from != NULL, from ? from->at.id : (struct product_id){{{0}}}}, \
                                .page_size = (int32_t)in->limit}
#define LISTING_RUN(query)                                                                                   \
    struct query##_row row;                                                                                  \
    bool found;                                                                                              \
    enum error_code code = query(req->db, req->arena, args, &row, &found)

#define NUMBER_QUERY(query)                                                                                  \
    static enum error_code run_##query(struct request *req, const struct api_product_list *in,               \
                                       struct str_array facets, const struct listing_plan_row *plan,         \
                                       const struct listing_from *from, struct page *page)                   \
    {                                                                                                        \
        LISTING_ARGS(query);                                                                                 \
        args.keys = plan->keys;                                                                              \
        args.facets = facets;                                                                                \
        args.value_list = plan->value_list;                                                                  \
        args.after_key = (struct opt_int64){from != NULL, from ? from->at.number : 0};                       \
        LISTING_RUN(query);                                                                                  \
        if (!code)                                                                                           \
            *page = (struct page){row.items, row.more, row.last_number, STR_NONE, row.last_id};              \
        return code;                                                                                         \
    }
NUMBER_QUERY(listing_newest)
NUMBER_QUERY(listing_price_up)
NUMBER_QUERY(listing_price_down)

static enum error_code run_search(bool corrected, struct request *req, const struct api_product_list *in,
                                  struct str_array facets, const struct listing_from *from, struct page *page)
{
    LISTING_ARGS(listing_relevant);
    args.facets = facets;
    args.after_key = (struct opt_int64){from != NULL, from ? from->at.number : 0};
    args.corrected = corrected;
    LISTING_RUN(listing_relevant);
    if (!code)
        *page = (struct page){row.items, row.more, row.last_number, STR_NONE, row.last_id};
    return code;
}

static enum error_code run_listing_name(struct request *req, const struct api_product_list *in,
                                        struct str_array facets, const struct listing_plan_row *plan,
                                        const struct listing_from *from, struct page *page)
{
    LISTING_ARGS(listing_name);
    args.keys = plan->keys;
    args.facets = facets;
    args.value_list = plan->value_list;
    args.after_key = from ? (struct str){from->at.text, from->text_length} : STR_NONE;
    LISTING_RUN(listing_name);
    if (!code)
        *page = (struct page){row.items, row.more, {false, 0}, row.last_text, row.last_id};
    return code;
}

/* Where filters leave little: all that they leave, sorted. */
static enum error_code run_narrow(enum order order, struct request *req, const struct api_product_list *in,
                                  struct str_array facets, const struct listing_plan_row *plan,
                                  const struct listing_from *from, struct page *page)
{
    char sort = (char)order;
    struct listing_narrow_args args = {
        .sort = {&sort, 1},
        .currency = str_from(api_currency_names[in->currency - 1]),
        .pairs = plan->pairs,
        .way_keys = plan->way_keys,
        .facets = facets,
        .price_least = {in->has_price_min, in->price_min},
        .price_most = {in->has_price_max, in->price_max},
        .in_stock_only = in->in_stock,
        .after_number = {from != NULL, from ? from->at.number : 0},
        .after_text = from ? (struct str){from->at.text, from->text_length} : STR_NONE,
        .after_id = {from != NULL, from ? from->at.id : (struct product_id){{{0}}}},
        .page_size = (int32_t)in->limit,
    };
    struct listing_narrow_row row;
    bool found;
    enum error_code code = listing_narrow(req->db, req->arena, args, &row, &found);
    if (!code)
        *page = (struct page){row.items, row.more, row.last_number, row.last_text, row.last_id};
    return code;
}

static enum error_code run(enum order order, struct request *req, const struct api_product_list *in,
                           struct str_array facets, const struct listing_from *from, struct page *page)
{
    if (order == RELEVANT || order == SIMILAR)
        return run_search(order == SIMILAR, req, in, facets, from, page);
    struct listing_plan_row plan = {0};
    if (is_by_keys(in)) {
        bool found;
        struct listing_plan_args args = {.currency = str_from(api_currency_names[in->currency - 1]),
                                         .category_id = {in->has_category_id, in->category_id},
                                         .vendor_id = {in->has_vendor_id, in->vendor_id},
                                         .brand = in->has_brand ? in->brand : STR_NONE,
                                         .facets = facets,
                                         .page_size = (int32_t)in->limit};
        enum error_code code = listing_plan(req->db, req->arena, args, &plan, &found);
        if (code)
            return code;
        if (plan.narrow && !in->has_q)
            return run_narrow(order, req, in, facets, &plan, from, page);
    }
    switch (order) {
    case NEWEST:
        return run_listing_newest(req, in, facets, &plan, from, page);
    case PRICE_UP:
        return run_listing_price_up(req, in, facets, &plan, from, page);
    case PRICE_DOWN:
        return run_listing_price_down(req, in, facets, &plan, from, page);
    case NAME:
        return run_listing_name(req, in, facets, &plan, from, page);
    case RELEVANT:
    case SIMILAR:
        break;
    }
    return ERR_INTERNAL;
}

static enum order order_of(const struct api_product_list *in)
{
    static const enum order orders[] = {[API_PRODUCT_LIST_SORT_NEWEST] = NEWEST,
                                        [API_PRODUCT_LIST_SORT_PRICE_ASC] = PRICE_UP,
                                        [API_PRODUCT_LIST_SORT_PRICE_DESC] = PRICE_DOWN,
                                        [API_PRODUCT_LIST_SORT_NAME] = NAME,
                                        [API_PRODUCT_LIST_SORT_RELEVANCE] = RELEVANT};
    enum order order = in->has_sort ? orders[in->sort] : RELEVANT;
    return order == RELEVANT && !in->has_q ? NEWEST : order;
}

enum error_code product_list_handle(struct request *req, const struct api_product_list *in)
{
    enum order order = order_of(in);
    struct listing_from position;
    const struct listing_from *from = NULL;
    if (in->has_cursor) {
        enum error_code code = position_read(req, in->cursor, order, &position);
        if (code)
            return code;
        from = &position;
        order = (enum order)position.at.order;
    }
    struct str_array facets = {NULL, 0};
    if (in->has_attribute && in->attribute.count) {
        struct str *items = ARENA_ARRAY(req->arena, struct str, in->attribute.count);
        for (size_t i = 0; i < in->attribute.count; i++)
            items[i] = catalog_facet(req->arena, in->attribute.items[i]);
        facets = (struct str_array){items, in->attribute.count};
    }
    struct page page;
    enum error_code code = run(order, req, in, facets, from, &page);
    if (!code && order == RELEVANT && !from && !page.id.present && str_equal(page.items, STR("[]"))) {
        order = SIMILAR; /* nothing has these words: perhaps they were typed wrongly */
        code = run(order, req, in, facets, from, &page);
    }
    struct str counts = STR_NONE;
    if (!code && in->facets)
        code = catalog_facets(req, in, facets, order == SIMILAR, &counts);
    return code ? code : respond_listing(req, order, &page, counts);
}
