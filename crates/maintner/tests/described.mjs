// Holds answers and webhooks against GitHub's own descriptions, and prints what is wrong, a line each.
//
// Arguments: the folder of modules, the package of the API's description, that of the webhooks' schemas. Input, JSON:
// {answers: [{path, status, body}], webhooks: [{event, action, body}]}. The last line says how many were held against what.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [modules, openapi, schemas] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const Ajv = require('ajv');
const addFormats = require('ajv-formats');

// One file of a package; tar stops when it has it.
function unpacked(file, name) {
  const text = execFileSync('tar', ['-xzO', '--occurrence=1', '-f', file, name], { maxBuffer: 1 << 28 });
  return JSON.parse(text);
}

// OpenAPI 3.0 says `nullable` where JSON Schema has a type.
function schema(node) {
  if (Array.isArray(node)) return node.map(schema);
  if (node === null || typeof node !== 'object') return node;
  const made = {};
  for (const [key, value] of Object.entries(node)) {
    if (key === 'nullable' || key === 'example' || key === 'examples' || key === 'discriminator') continue;
    made[key] = key === 'enum' || key === 'default' ? value : schema(value);
  }
  return node.nullable === true ? { anyOf: [made, { type: 'null' }] } : made;
}

const description = unpacked(openapi, 'package/generated/api.github.com.json');
const definitions = unpacked(schemas, 'package/schema.json').definitions;

// A checker, and what makes a schema its own: with those that it refers to, and no others. All of them would take ten seconds.
function checking(place, all) {
  const ajv = new Ajv({ strict: false, logger: false, validateSchema: false });
  addFormats(ajv);
  const added = new Set();
  const pattern = new RegExp(`"${place}([^"]+)"`, 'g');
  function add(node) {
    const text = JSON.stringify(node);
    for (const [, name] of text.matchAll(pattern)) {
      if (added.has(name)) continue;
      added.add(name);
      ajv.addSchema({ ...add(all[name]), $id: `http://schemas/${name}` });
    }
    return JSON.parse(text.replaceAll(pattern, '"http://schemas/$1"'));
  }
  return (node) => ajv.compile(add(node));
}

const lazily = new Proxy({}, { get: (_, name) => schema(description.components.schemas[name]) });
const api = checking('#/components/schemas/', lazily);
const event = checking('#/definitions/', definitions);

// The schema of an answer, or that of errors where the description does not have this one.
function described(method, path, status) {
  let answer = description.paths[path]?.[method]?.responses[status];
  if (answer?.$ref) answer = description.components.responses[answer.$ref.split('/').pop()];
  const found = answer?.content?.['application/json']?.schema;
  if (!found && status < 400 && status !== 301) return null;
  return found ?? { $ref: '#/components/schemas/basic-error' };
}

const { answers, webhooks } = JSON.parse(readFileSync(0));
const compiled = new Map();
const wrong = [];
function hold(kind, make, body) {
  if (!compiled.has(kind)) compiled.set(kind, make());
  const check = compiled.get(kind);
  if (!check) wrong.push(`${kind}: it is not described`);
  else if (!check(body)) wrong.push(`${kind}: ${JSON.stringify(check.errors.slice(0, 3))}`);
}

for (const { method = 'get', path, status, body, request } of answers) {
  const name = method === 'get' ? path : `${method} ${path}`;
  hold(`${status} ${name}`, () => {
    const found = described(method, path, status);
    return found && api(schema(found));
  }, body);
  if (request) {
    hold(`request ${name}`, () => {
      const found = description.paths[path]?.[method]?.requestBody?.content?.['application/json']?.schema;
      return found && api(schema(found));
    }, request);
  }
}

for (const { event: name, action, body } of webhooks) {
  hold(`${name} ${action}`, () => event({ $ref: `#/definitions/${name}$${action}` }), body);
}

for (const line of new Set(wrong)) console.log(line);
console.log(`${wrong.length} wrong of ${answers.length + webhooks.length}, ${compiled.size} kinds`);
