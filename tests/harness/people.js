'use strict';
// Filled in with the accounts module: signed-in people of every role.
module.exports = {};
