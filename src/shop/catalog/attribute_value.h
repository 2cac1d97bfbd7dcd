/* Values of attributes and options, each in one form: for catalog.c alone. Pure. */
#ifndef CATHAY_SHOP_CATALOG_ATTRIBUTE_VALUE_H
#define CATHAY_SHOP_CATALOG_ATTRIBUTE_VALUE_H

#include "base/buf.h"
#include "base/json_view.h"

/* Put the value as JSON in its one form. NULL, or what is wrong with it; then what was put is of no use. A
 * definition is {"type": …, "choices": …}; NULL: there is no such attribute. */
const char *attribute_value(struct arena *arena, struct buf *out, const struct json_view *value,
                            const struct json_view *definition);
const char *attribute_value_of_option(struct arena *arena, struct buf *out, const struct json_view *value);

#endif
