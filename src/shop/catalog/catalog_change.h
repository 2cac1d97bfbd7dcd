/* How the catalog's own files change a product: lock it, change it, bring its listing up to date and tell of
 * it, answer. */
#ifndef CATHAY_SHOP_CATALOG_CATALOG_CHANGE_H
#define CATHAY_SHOP_CATALOG_CATALOG_CHANGE_H

#include "catalog_sql.h"
#include "http/request.h"

/* In a transaction: locks a product within the reach of who asks. ERR_NOT_FOUND. */
enum error_code product_begin(struct request *req, struct product_id id, struct product_lock_row *product);
/* After the change, which has counted the version up by one: listing rows and the event. */
enum error_code product_finish(struct request *req, const struct product_lock_row *product,
                               const char *event);
/* The product as its vendor sees it, with its version as ETag. */
enum error_code product_respond(struct request *req, int status, struct product_id id);

/* In a transaction: an event without payload about a product, category or vendor. */
enum error_code catalog_publish(struct pg *db, const char *type, struct uuid id, int64_t sequence);

#endif
