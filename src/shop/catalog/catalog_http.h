/* What the endpoints of catalog, pricing and inventory share: whose things a request may see, versions of
 * edits, pages. */
#ifndef CATHAY_SHOP_CATALOG_CATALOG_HTTP_H
#define CATHAY_SHOP_CATALOG_CATALOG_HTTP_H

#include "http/request.h"
#include "pg/pg_types.h"

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
enum error_code version_check(struct request *req, bool has_if_match, struct str if_match, int32_t version);

/* A JSON answer with the version as its ETag; for GET also 304. */
enum error_code respond_version(struct request *req, int status, int32_t version, struct str body);

/* {"items": …, "next_cursor": …}; the cursor carries `last` where there are more. */
enum error_code respond_page(struct request *req, struct str items, bool more, const void *last,
                             size_t last_bytes);

/* Turns ERR_DATABASE_CONSTRAINT of a name that is taken into ERR_CONFLICT with its field; passes other codes
 * on. */
enum error_code name_taken(struct request *req, enum error_code code);

enum error_code not_found(struct request *req, const char *what);

#endif
