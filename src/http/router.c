/* Each node stands for one segment. A path is matched from left to right: the literal child first, and where
 * nothing matches below it, the parameter child. The tree is as deep as the longest route, so going back
 * costs little. */
#include "http/router.h"

#include "api.h"
#include "base/check.h"

#include <stdlib.h>

#define METHODS_MAX 8
#define SEGMENTS_MAX 16

struct node {
    struct str segment;     /* of a literal; points into the route's path */
    struct node **literals; /* sorted by segment */
    size_t literal_count;
    struct node *parameter;
    const struct api_route *routes[METHODS_MAX];
    size_t route_count;
    char *allow; /* of a node with routes */
};

struct router {
    struct node root;
};

static int segment_compare(struct str a, struct str b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter ? memcmp(a.ptr, b.ptr, shorter) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* Where the segment is, or has to be put to keep the order. */
static size_t literal_position(const struct node *node, struct str segment)
{
    size_t low = 0, high = node->literal_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (segment_compare(node->literals[middle]->segment, segment) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct node *literal_child(const struct node *node, struct str segment)
{
    size_t at = literal_position(node, segment);
    return at < node->literal_count && str_equal(node->literals[at]->segment, segment) ? node->literals[at]
                                                                                       : NULL;
}

static struct node *child_for(struct node *node, struct str segment)
{
    bool is_parameter = segment.len && segment.ptr[0] == '{';
    struct node *child = is_parameter ? node->parameter : literal_child(node, segment);
    if (child)
        return child;
    child = calloc(1, sizeof *child);
    CHECK(child);
    if (is_parameter) {
        node->parameter = child;
        return child;
    }
    child->segment = segment;
    size_t at = literal_position(node, segment);
    node->literals = realloc(node->literals, (node->literal_count + 1) * sizeof(struct node *));
    CHECK(node->literals);
    memmove(node->literals + at + 1, node->literals + at, (node->literal_count - at) * sizeof(struct node *));
    node->literals[at] = child;
    node->literal_count++;
    return child;
}

static const struct api_route *route_of(const struct node *node, struct str method)
{
    for (size_t i = 0; i < node->route_count; i++)
        if (str_equal(str_from(node->routes[i]->method), method))
            return node->routes[i];
    return NULL;
}

static void add_route(struct router *router, const struct api_route *route)
{
    struct node *node = &router->root;
    struct str rest = str_from(route->path);
    CHECK(rest.len && rest.ptr[0] == '/');
    rest = (struct str){rest.ptr + 1, rest.len - 1};
    size_t depth = 0;
    while (rest.ptr) {
        CHECK(depth++ < SEGMENTS_MAX);
        node = child_for(node, str_split(&rest, '/'));
    }
    CHECK(node->route_count < METHODS_MAX && !route_of(node, str_from(route->method)));
    node->routes[node->route_count++] = route;
}

static void build_allow(struct node *node)
{
    if (node->route_count) {
        struct buf text = buf_new(256);
        for (size_t i = 0; i < node->route_count; i++)
            buf_printf(&text, "%s, ", node->routes[i]->method);
        buf_printf(&text, "%sOPTIONS", route_of(node, STR("GET")) ? "HEAD, " : "");
        buf_char(&text, '\0');
        CHECK(!text.overflow);
        node->allow = text.ptr;
    }
    for (size_t i = 0; i < node->literal_count; i++)
        build_allow(node->literals[i]);
    if (node->parameter)
        build_allow(node->parameter);
}

struct router *router_new(const struct api_route *routes, size_t count)
{
    struct router *router = calloc(1, sizeof *router);
    CHECK(router);
    for (size_t i = 0; i < count; i++)
        add_route(router, &routes[i]);
    build_allow(&router->root);
    return router;
}

static void free_below(struct node *node)
{
    for (size_t i = 0; i < node->literal_count; i++) {
        free_below(node->literals[i]);
        free(node->literals[i]);
    }
    if (node->parameter)
        free_below(node->parameter);
    free(node->parameter);
    free(node->literals);
    free(node->allow);
}

void router_free(struct router *router)
{
    if (!router)
        return;
    free_below(&router->root);
    free(router);
}

static const struct node *find(const struct node *node, const struct str *segments, size_t count,
                               struct router_match *match)
{
    if (count == 0)
        return node->route_count ? node : NULL;
    const struct node *child = literal_child(node, segments[0]);
    const struct node *found = child ? find(child, segments + 1, count - 1, match) : NULL;
    if (found || !node->parameter || segments[0].len == 0)
        return found;
    size_t before = match->param_count;
    CHECK(before < API_PATH_PARAMS_MAX);
    match->params[match->param_count++] = segments[0];
    found = find(node->parameter, segments + 1, count - 1, match);
    if (!found)
        match->param_count = before;
    return found;
}

enum router_outcome router_match(const struct router *router, struct arena *arena, struct str method,
                                 struct str path, struct router_match *match)
{
    *match = (struct router_match){0};
    if (path.len == 0 || path.ptr[0] != '/')
        return ROUTER_BAD_PATH;
    struct str segments[SEGMENTS_MAX], rest = {path.ptr + 1, path.len - 1};
    size_t count = 0;
    while (rest.ptr) {
        if (count == SEGMENTS_MAX)
            return ROUTER_NOT_FOUND;
        segments[count] = api_percent_decode(arena, str_split(&rest, '/'), false);
        if (!segments[count++].ptr)
            return ROUTER_BAD_PATH;
    }
    const struct node *node = find(&router->root, segments, count, match);
    if (!node)
        return ROUTER_NOT_FOUND;
    match->allow = str_from(node->allow);
    match->head = str_equal(method, STR("HEAD"));
    match->route = route_of(node, match->head ? STR("GET") : method);
    if (match->route)
        return ROUTER_FOUND;
    return str_equal(method, STR("OPTIONS")) ? ROUTER_OPTIONS : ROUTER_METHOD_NOT_ALLOWED;
}
