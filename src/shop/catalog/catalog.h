/* Catalog: vendors, the tree of categories, attributes, products with variants and pictures, and the table
 * `listing` that browsing and search read. It decides what a product may look like and when it may go on
 * sale; what it costs is pricing's affair, how many there are inventory's.
 *
 * Whoever changes something that a listing shows (price, picture, name …) locks the product first, then
 * changes it, then calls catalog_listing_refresh, all in one transaction; so listing rows are never computed
 * from half a change. */
#ifndef CATHAY_SHOP_CATALOG_CATALOG_H
#define CATHAY_SHOP_CATALOG_CATALOG_H

#include "base/arena.h"
#include "base/error.h"
#include "base/id.h"
#include "pg/pg.h"

/* In a transaction, with the products locked (product row FOR NO KEY UPDATE): computes their rows of the
 * table listing anew. A product that is not on sale loses its rows. Blocks. */
enum error_code catalog_listing_refresh(struct pg *db, const struct product_id *ids, size_t count);

/* ── rules: pure ── */

#define PRODUCT_VARIANTS_MAX 200
#define PRODUCT_PICTURES_MAX 20
#define PRODUCT_ATTRIBUTES_MAX 40
#define ATTRIBUTE_TEXT_MAX 200 /* code points */
#define OPTION_VALUE_MAX 60    /* code points */

/* The codes that a product's attributes (a JSON object) use, in the arena. ERR_VALIDATION with the field
 * "attributes" where it is not an object of at most PRODUCT_ATTRIBUTES_MAX members. */
enum error_code catalog_attribute_codes(struct arena *arena, struct str attributes, struct str_array *codes,
                                        struct error *error);

/* Checks values against definitions, a JSON object by code: {"material": {"type": "choice", "choices":
 * ["leather"]}}. Text and choices are strings, colours "#rrggbb". ERR_VALIDATION with fields like
 * "attributes.material". */
enum error_code catalog_attributes_check(struct str attributes, struct str definitions, struct error *error);

/* A variant gives a value, text of 1 to OPTION_VALUE_MAX characters, for exactly the options of its product.
 * ERR_VALIDATION. */
enum error_code catalog_options_check(struct str chosen, struct str_array options, struct error *error);

/* "Café Noir 200 g" → "cafe-noir-200-g-1f2e3d": what is left of the name in ASCII and six digits of the id.
 */
struct str catalog_slug(struct arena *arena, struct str name, struct product_id id);

/* The type of a picture, if the bytes are what the header says they are (its parameters are ignored); else
 * absent. */
struct str catalog_picture_type(struct str content_type, struct str bytes);

/* "material:leather" → "material=leather", as the column listing.facets has it. */
struct str catalog_facet(struct arena *arena, struct str asked);

#endif
