// A SCIM server made of SCIMMY and scimmy-routers, which keeps resources in memory. Listens on PORT, takes TOKEN.
import { randomUUID } from 'node:crypto';
import express from 'express';
import SCIMMY from 'scimmy';
import Routers from 'scimmy-routers';

const fail = (status, scimType, text) => { throw new SCIMMY.Types.Error(status, scimType, text); };
const equal = (a, b) => String(a).toLowerCase() === String(b).toLowerCase();

/** Keeps resources of one type; no two have the same value of `unique`. */
function serve(Type, unique) {
  const rows = new Map();
  const held = (id) => rows.get(id) ?? fail(404, null, 'no such resource');
  SCIMMY.Resources.declare(Type, {
    egress: async ({ id, filter }) => {
      if (id) return held(id);
      return filter ? filter.match([...rows.values()]) : [...rows.values()];
    },
    ingress: async (request, data) => {
      const sent = JSON.parse(JSON.stringify(data));
      const old = request.id && held(request.id);
      const taken = [...rows.values()].some((row) => row.id !== request.id && unique && equal(row[unique], sent[unique]));
      if (taken) fail(409, 'uniqueness', `${unique} in use`);
      const now = new Date();
      const id = request.id ?? randomUUID();
      const row = { ...sent, id, meta: { created: old?.meta.created ?? now, lastModified: now } };
      rows.set(id, row);
      return row;
    },
    degress: async ({ id }) => { if (!rows.delete(id)) fail(404, null, 'no such resource'); },
  });
}

SCIMMY.Resources.User.extend(SCIMMY.Schemas.EnterpriseUser, false);
serve(SCIMMY.Resources.User, 'userName');
serve(SCIMMY.Resources.Group, null);
SCIMMY.Config.set({
  patch: true,
  sort: true,
  filter: { supported: true, maxResults: 200 },
  bulk: { supported: true, maxOperations: 1000, maxPayloadSize: 1048576 },
});

const handler = (request) => {
  if (request.header('Authorization') !== `Bearer ${process.env.TOKEN}`) throw new Error('not this token');
  return 'gateway';
};
const app = express();
app.use('/scim/v2', new Routers({ type: 'bearer', handler }));
app.listen(Number(process.env.PORT), '127.0.0.1');
