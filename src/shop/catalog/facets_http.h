/* The part `facets` of a listing's answer. */
#ifndef CATHAY_SHOP_CATALOG_FACETS_HTTP_H
#define CATHAY_SHOP_CATALOG_FACETS_HTTP_H

#include "api.h"

/* How many products each further choice leaves, as JSON in the request's arena. attributes: as the column
 * listing.facets has them. corrected: by the words that were probably meant. Blocks. */
enum error_code catalog_facets(struct request *req, const struct api_product_list *in,
                               struct str_array attributes, bool corrected, struct str *body);

#endif
