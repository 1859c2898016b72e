// Does with a Zapier integration what Zapier does: node zapier_user.js FOLDER METHOD BUNDLE FILE. The results are written
// into the file as JSON, because the library prints as it likes.
// The method "validate" checks the whole integration instead, and results in the list of what is wrong with it.
'use strict';

const { createRequire } = require('node:module');
const { writeFileSync } = require('node:fs');
const path = require('node:path');

const [, , folder, method, bundle, out] = process.argv;
const from = createRequire(path.join(folder, 'index.js'));
const zapier = from('zapier-platform-core');
const app = from('./index.js');

const results = method === 'validate'
  ? zapier.createAppHandler(app)({ command: 'validate' }).then((answer) => answer.results)
  : zapier.createAppTester(app)(method.split('.').reduce((part, name) => part[name], app), JSON.parse(bundle));

results.then((found) => writeFileSync(out, JSON.stringify(found)), (error) => {
  console.error(error);
  process.exitCode = 1;
});
