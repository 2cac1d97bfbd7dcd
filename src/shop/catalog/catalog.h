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
#include "http/request.h"
#include "pg/pg.h"
#include "pg/pg_types.h"

/* In a transaction, with the products locked (product row FOR NO KEY UPDATE): computes their rows of the
 * table listing anew. A product that is not on sale loses its rows. Blocks. */
enum error_code catalog_listing_refresh(struct pg *db, const struct product_id *ids, size_t count);

/* ── rules: pure ── */

#define PRODUCT_VARIANTS_MAX 200
#define PRODUCT_PICTURES_MAX 20
#define PRODUCT_ATTRIBUTES_MAX 40
#define ATTRIBUTE_TEXT_MAX 200  /* code points */
#define ATTRIBUTE_NUMBER_MAX 30 /* characters */
#define OPTION_VALUE_MAX 60     /* code points */

/* The codes that a product's attributes (a JSON object) use, in the arena. ERR_VALIDATION with the field
 * "attributes" where it is not an object of at most PRODUCT_ATTRIBUTES_MAX members. */
enum error_code catalog_attribute_codes(struct arena *arena, struct str attributes, struct str_array *codes,
                                        struct error *error);

/* Checks values against definitions, a JSON object by code: {"material": {"type": "choice", "choices":
 * ["leather"]}}. Text and choices are strings, colours "#rrggbb", numbers of at most ATTRIBUTE_NUMBER_MAX
 * characters. *attributes becomes their one form (attribute_value.h). ERR_VALIDATION with fields like
 * "attributes.material". */
enum error_code catalog_attributes_check(struct arena *arena, struct str *attributes, struct str definitions,
                                         struct error *error);

/* A variant gives a value, text of 1 to OPTION_VALUE_MAX characters, for exactly the options of its product.
 * *chosen becomes their one form. ERR_VALIDATION. */
enum error_code catalog_options_check(struct arena *arena, struct str *chosen, struct str_array options,
                                      struct error *error);

/* "Café Noir 200 g" → "cafe-noir-200-g-1f2e3d": what is left of the name in ASCII and six digits of the id.
 */
struct str catalog_slug(struct arena *arena, struct str name, struct product_id id);

/* The type of a picture, if the bytes are what the header says they are (its parameters are ignored); else
 * absent. */
struct str catalog_picture_type(struct str content_type, struct str bytes);

/* "material:leather" → "material=leather", as the column listing.facets has it. */
struct str catalog_facet(struct arena *arena, struct str asked);

/* ── what the endpoints of catalog, pricing and inventory share ── */

/* A vendor's requests reach what is that vendor's; staff (absent) reach everything. What is out of reach is
 * not found. */
struct opt_vendor_id vendor_scope(const struct request *req);

/* The scope of a listing in which staff may ask for one vendor; a vendor who asks for another one gets an
 * empty list. */
struct opt_vendor_id vendor_scope_asked(const struct request *req, bool has_vendor_id,
                                        struct vendor_id vendor_id);

/* Whose a new thing becomes: the vendor's own; staff have to say it. ERR_VALIDATION with the field vendor_id.
 */
enum error_code vendor_of_new(struct request *req, bool has_vendor_id, struct vendor_id vendor_id,
                              struct vendor_id *owner);

/* ERR_PRECONDITION_MISSING without If-Match, ERR_PRECONDITION unless it names this version. */
enum error_code catalog_version_check(struct request *req, bool has_if_match, struct str if_match,
                                      int32_t version);

/* A JSON answer with the version as its ETag; for GET also 304. */
enum error_code catalog_respond_version(struct request *req, int status, int32_t version, struct str body);

/* Turns ERR_DATABASE_CONSTRAINT of a name that is taken into ERR_CONFLICT with its field; passes other codes
 * on. */
enum error_code catalog_name_taken(struct request *req, enum error_code code);

enum error_code catalog_not_found(struct request *req, const char *what);

#endif
