'use strict';
// A vendor's products made over HTTP, as a vendor makes them.
const SVG = Buffer.from("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 1 1'><rect width='1' height='1'/></svg>");

let count = 0;
const unique = () => `${process.pid}-${Date.now().toString(36)}-${count += 1}`;

/** A category, made by staff; its wire id. */
async function makeCategory(manager, more = {}) {
  const { body } = await manager.api.call('category_create', { body: { slug: `shelf-${unique()}`, name: 'Shelf', ...more }, expect: 201 });
  return body.id;
}

/** A stock location of the vendor; its wire id. */
async function makeLocation(vendor, more = {}) {
  const { body } = await vendor.api.call('location_create', { body: { code: `L-${unique()}`.toUpperCase(), name: 'Shelf', country: 'HK', ...more }, expect: 201 });
  return body.id;
}

/**
 * A product of the vendor: {id, slug, variants: [wire ids]}. prices: {HKD: minor, USD: minor}; stock: pieces of each variant, at
 * `location`; colours: its variants; publish: false leaves the draft.
 */
async function makeProduct(vendor, category, { name = `Thing ${unique()}`, prices = { HKD: 10000 }, stock = 0, location, colours, publish = true, ...more } = {}) {
  const { body: draft } = await vendor.api.call('product_create', {
    body: { category_id: category, name, options: colours ? ['colour'] : [], ...more }, expect: 201 });
  const variants = [];
  for (const [position, colour] of (colours ?? [null]).entries()) {
    const { body } = await vendor.api.call('variant_create', { path: { product_id: draft.id }, expect: 201,
      body: { sku: `SKU-${unique()}`, position, ...(colour ? { options: { colour } } : {}) } });
    variants.push(body.variant_id);
    for (const [currency, amount] of Object.entries(prices)) {
      await vendor.api.call('price_create', { path: { variant_id: body.variant_id }, body: { currency, amount_minor: amount }, expect: 201 });
    }
    if (stock > 0) {
      await vendor.api.call('movement_create', { path: { variant_id: body.variant_id }, expect: 201,
        body: { location_id: location, quantity: stock, reason: 'receipt' } });
    }
  }
  await vendor.api.call('media_create', { path: { product_id: draft.id }, query: { alt: name }, body: SVG, contentType: 'image/svg+xml', expect: 201 });
  if (publish) await vendor.api.call('product_publish', { path: { product_id: draft.id }, expect: 200 });
  return { id: draft.id, slug: draft.slug, name, variants };
}

module.exports = { makeCategory, makeLocation, makeProduct, unique, SVG };
