/* Router, decoder and encoder against any bytes, over the fixture contract. The input is lines: method, path,
 * query, If-Match, and the body as the rest; a corpus can be written with an editor. What is decoded is
 * looked at, so that the sanitizers see every member, and JSON that the decoder takes goes through the
 * percent decoder as well. */
#include "api.h"
#include "base/check.h"
#include "http/router.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct str header(const void *context, struct str name)
{
    return str_equal_ignoring_case(name, STR("If-Match")) ? *(const struct str *)context : STR_NONE;
}

static void look_at_str(struct str text)
{
    CHECK(text.len == 0 || text.ptr);
    volatile uint64_t hash = str_hash(text);
    (void)hash;
}

static void look_at_part(const struct api_part *part)
{
    look_at_str(part->sku);
    CHECK(part->quantity >= 1 && part->quantity <= 10 && part->quantity % 2 == 0);
}

/* Whatever was accepted keeps what the contract promises. */
static void look_at_thing(const struct api_thing_input *in)
{
    look_at_str(in->name);
    CHECK(str_code_points(in->name) >= 2 && str_code_points(in->name) <= 4);
    CHECK(in->parts.count >= 1 && in->parts.count <= 3 && in->accept && in->moods.count <= 4);
    for (size_t i = 0; i < in->parts.count; i++)
        look_at_part(&in->parts.items[i]);
    for (size_t i = 0; i < in->moods.count; i++)
        CHECK(in->moods.items[i] >= 1 && in->moods.items[i] <= API_MOOD_COUNT);
    look_at_str(in->email);
    look_at_str(in->link);
    look_at_str(in->extra);
    if (in->has_extra)
        CHECK(in->extra.len >= 2 && in->extra.ptr[0] == '{');
    if (in->has_place)
        look_at_str(in->place.city);
    struct buf out = buf_new(1 << 20);
    struct api_thing thing = {.name = in->name,
                              .mood = API_MOOD_GOOD,
                              .parts = in->parts,
                              .extra = in->extra,
                              .floors = in->place.floors,
                              .note = in->email};
    api_thing_encode(&out, &thing);
    CHECK(out.len > 2 && out.ptr[out.len - 1] == '}');
    buf_free(&out);
}

static void look_at(enum api_operation operation, const void *decoded)
{
    if (operation == API_OPERATION_THING_CREATE) {
        look_at_thing(&((const struct api_thing_create *)decoded)->body);
    } else if (operation == API_OPERATION_THING_LIST) {
        const struct api_thing_list *in = decoded;
        CHECK(in->limit >= 1 && in->limit <= 100 && in->tag.count <= 3 && in->vendor_id.count <= 5);
        CHECK(in->sort >= 1 && in->sort <= API_THING_LIST_SORT_COUNT);
        look_at_str(in->cursor);
        for (size_t i = 0; i < in->tag.count; i++)
            look_at_str(in->tag.items[i]);
    } else if (operation == API_OPERATION_PART_DELETE) {
        const struct api_part_delete *in = decoded;
        look_at_str(in->thing_id);
        CHECK(in->number >= 1 && in->number <= 99 && str_code_points(in->thing_id) <= 40);
    } else if (operation == API_OPERATION_THING_CHANGE) {
        look_at_str(((const struct api_thing_change *)decoded)->if_match);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct router *router;
    static struct arena *arena;
    if (!router) {
        router = router_new(api_routes, API_OPERATION_COUNT);
        arena = arena_new();
        api_patterns_compile();
    }
    arena_reset(arena);
    struct str rest = {size ? (const char *)data : "", size};
    struct str method = str_split(&rest, '\n'), path = str_split(&rest, '\n'), query = str_split(&rest, '\n');
    struct str if_match = str_split(&rest, '\n');
    struct router_match match;
    static struct error error;
    error_clear(&error);
    if (router_match(router, arena, method, path, &match) != ROUTER_FOUND)
        return 0;
    struct api_input input = {match.params, match.param_count, query, header, &if_match, rest};
    void *decoded = NULL;
    bool good = match.route->decode(&input, arena, &decoded, &error);
    CHECK(good == (error.code == ERR_OK));
    CHECK(good || error.code == ERR_BAD_REQUEST || (error.code == ERR_VALIDATION && error.field_count > 0));
    if (good)
        look_at(match.route->operation, decoded);
    return 0;
}
