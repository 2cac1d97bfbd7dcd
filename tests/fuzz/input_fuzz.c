/* What strangers write into headers, queries, mails and webhooks of the carrier, each to the function that
 * reads it. The first byte chooses. Whatever comes: no crash, no leak, and what is taken keeps its promises.
 */
#include "base/check.h"
#include "base/clock.h"
#include "http/cursor.h"
#include "http/redact.h"
#include "http/server_internal.h"
#include "sandbox/form.h"
#include "sandbox/mailbox.h"
#include "shop/catalog/catalog.h"
#include "shop/catalog/facets.h"
#include "shop/orders/orders.h"
#include "shop/shipping/carrier.h"

#include <sodium.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct str list = STR("product_list");

/* Nobody guesses one, and one of ours is refused as soon as a bit of it or its list is another. */
static void try_cursor(struct arena *arena, struct str text)
{
    static const uint8_t keys[2][CURSOR_KEY_BYTES] = {"the first", "the second"};
    uint8_t position[CURSOR_BYTES_MAX];
    size_t bytes;
    cursor_keys_set(keys, 2);
    CHECK(!cursor_open(list, text, position, 0, sizeof position, &bytes));
    if (text.len == 0 || text.len > CURSOR_BYTES_MAX)
        return;
    struct str sealed = cursor_seal(arena, list, text.ptr, text.len);
    CHECK(cursor_open(list, sealed, position, text.len, text.len, &bytes) && bytes == text.len);
    CHECK(memcmp(position, text.ptr, text.len) == 0);
    CHECK(!cursor_open(STR("vendor_list"), sealed, position, 0, sizeof position, &bytes));
    CHECK(!cursor_open(list, sealed, position, text.len + 1, sizeof position, &bytes));
    char *altered = arena_cstr(arena, sealed);
    size_t at = (unsigned char)text.ptr[0] % sealed.len;
    altered[at] = altered[at] == 'A' ? 'B' : 'A';
    CHECK(!cursor_open(list, (struct str){altered, sealed.len}, position, 0, sizeof position, &bytes));
}

static void try_address(struct str text)
{
    struct address address, again;
    struct address_set set = {0};
    struct error error = {.code = ERR_OK};
    char out[48];
    if (address_parse(text, &address)) {
        size_t len = address_format(&address, out);
        CHECK(len < sizeof out && address_parse((struct str){out, len}, &again));
        CHECK(memcmp(&address, &again, sizeof address) == 0);
    }
    struct str networks = str_split(&text, '\n');
    if (address_set_parse(networks, &set, &error))
        return;
    CHECK(set.count <= ADDRESS_SET_MAX);
    CHECK(address_parse(STR("10.0.0.1"), &address));
    again = address_behind_proxies(&set, address, text);
    CHECK(address_set_has(&set, &address) || memcmp(&address, &again, sizeof address) == 0);
}

static void try_time(struct str text)
{
    int64_t time_us, again;
    char out[CLOCK_TEXT_MAX], http[30];
    if (clock_parse(text, &time_us)) {
        size_t len = clock_format(time_us, out);
        CHECK(time_us < 0 || time_us > CLOCK_LAST_US ||
              (clock_parse((struct str){out, len}, &again) && again == time_us));
    }
    if (text.len < sizeof time_us)
        return;
    memcpy(&time_us, text.ptr, sizeof time_us);
    CHECK(clock_format(time_us, out) < sizeof out);
    clock_format_http(time_us, http);
}

static void try_mail(struct arena *arena, struct str text)
{
    struct mailbox_content content;
    mailbox_parse(arena, text, &content);
    const struct str parts[] = {content.from,       content.to,   content.subject,
                                content.message_id, content.text, content.html};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        CHECK(str_is_utf8(parts[i]));
}

/* As the database sends the keys of products, of which one may not be as it should. */
static void try_facets(struct arena *arena, struct str text)
{
    struct facet_filter filter = {.in_stock_only = text.len & 1};
    const struct str questions[] = {STR(""), STR("price"), STR("stock"), STR("=size")};
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        struct facet_tally tally = facets_tally(arena, text, questions[i], &filter);
        CHECK(tally.used <= tally.slot_count);
    }
    catalog_facet(arena, text);
}

static void try_news(struct arena *arena, struct str text)
{
    struct carrier_news news = {0};
    struct str signature = str_split(&text, '\n');
    if (text.ptr)
        carrier_easypost.webhook_verify(signature, text);
    if (text.ptr && carrier_easypost.webhook_parse(arena, text, &news))
        CHECK(news.event_id.len > 0);
}

static void try_log(struct str text)
{
    struct buf out = buf_new((size_t)1 << 20);
    redact_body(&out, text, 4096);
    CHECK(out.len <= 4096 + 64);
    buf_free(&out);
}

static void try_names(struct arena *arena, struct str text)
{
    struct uuid id;
    struct order_id order;
    char out[ID_TEXT_MAX];
    if (order_id_parse(text, &order)) {
        size_t len = order_id_text(order, out);
        CHECK(str_equal_ignoring_case(text, (struct str){out, len}));
    }
    uuid_parse(text, &id);
    struct str decoded = api_percent_decode(arena, text, true);
    CHECK(!decoded.ptr || decoded.len <= text.len);
    struct str tag = str_split(&text, '\n');
    etag_listed(text, tag);
    struct form form;
    if (form_parse(text, arena, &form))
        form_unknown(&form, (const char *const[]){"a", NULL});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct arena *arena = arena_new();
    /* A copy of exactly that size, so that one byte too many is seen. */
    struct str text = {arena_bytes(arena, size - 1), size - 1};
    memcpy((char *)(uintptr_t)text.ptr, data + 1, size - 1);
    switch (data[0] % 8) {
    case 0:
        try_cursor(arena, text);
        break;
    case 1:
        try_address(text);
        break;
    case 2:
        try_time(text);
        break;
    case 3:
        try_mail(arena, text);
        break;
    case 4:
        try_facets(arena, text);
        break;
    case 5:
        try_news(arena, text);
        break;
    case 6:
        try_log(text);
        break;
    default:
        try_names(arena, text);
    }
    arena_free(arena);
    return 0;
}
