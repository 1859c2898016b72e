// A Zapier integration for a goto-poller of your own: GoTo Webinar's news as triggers, at once or by polling.
//
//     npm install && npx zapier-platform-cli register "goto-poller" && npx zapier-platform-cli push
//
// The engine must be reachable from Zapier: set [http] listen, public_url (https) and api_keys in poller.toml. Whoever
// connects gives that public_url and one of the keys.
//
// "New registration" is a REST hook: the engine posts each one, signed, as it is found. "New webinar" polls /items, and
// "Any event" subscribes to a trigger of the settings. All know an item by its `id`, so that Zapier drops repeats.
'use strict';

const authentication = {
  type: 'custom',
  test: { url: '{{bundle.authData.url}}/v1/triggers' },
  connectionLabel: '{{bundle.authData.url}}',
  fields: [
    { key: 'url', label: 'Address of the engine', required: true, helpText: 'Its public_url, such as https://goto.example.com' },
    { key: 'apiKey', label: 'API key', required: true, type: 'password' },
  ],
};

const addKey = (request, z, bundle) => {
  request.headers['X-API-Key'] = bundle.authData.apiKey;
  return request;
};

// Zapier stops a Zap on other errors, asks its owner to connect again on these, and tries again later on 429.
const explain = (response, z) => {
  if (response.status === 401) throw new z.errors.ExpiredAuthError('the engine does not know this API key');
  if (response.status === 429) {
    throw new z.errors.ThrottledError('the engine is asked too often', Number(response.getHeader('Retry-After')));
  }
  return response;
};

const filters = [
  { key: 'webinarKey', label: 'Webinar key', helpText: 'Only of this webinar.' },
  { key: 'organizerKey', label: 'Organizer key', helpText: 'Only of this organizer.' },
];

const given = (inputData, ...keys) => Object.fromEntries(keys.filter((key) => inputData[key]).map((key) => [key, inputData[key]]));

// The newest items of a trigger, the newest first, as Zapier wants them.
const items = (trigger) => async (z, bundle) => {
  const name = encodeURIComponent(trigger || bundle.inputData.trigger);
  const response = await z.request({
    url: `${bundle.authData.url}/v1/triggers/${name}/items`,
    params: given(bundle.inputData, 'webinarKey', 'organizerKey'),
  });
  return response.data;
};

const subscribe = (trigger) => async (z, bundle) => {
  const response = await z.request({
    url: `${bundle.authData.url}/v1/subscriptions`,
    method: 'POST',
    body: {
      hookUrl: bundle.targetUrl,
      trigger: trigger || bundle.inputData.trigger,
      ...given(bundle.inputData, 'webinarKey', 'organizerKey'),
    },
  });
  return response.data; // kept by Zapier as bundle.subscribeData
};

const unsubscribe = async (z, bundle) => {
  await z.request({ url: `${bundle.authData.url}/v1/subscriptions/${bundle.subscribeData.id}`, method: 'DELETE' });
  return {};
};

const hook = (trigger) => ({
  type: 'hook',
  performSubscribe: subscribe(trigger),
  performUnsubscribe: unsubscribe,
  perform: (z, bundle) => [bundle.cleanedRequest],
  performList: items(trigger),
});

// Names for the editor of Zaps, where no news has come yet.
const envelope = {
  id: '9f2c6d0a6f5e4f5b8d3f0c1e2a7b4c5d',
  sequence: '00000000000000000042',
  eventTime: '2026-03-01T09:15:42Z',
  organizerKey: '5511973216410820613',
};

module.exports = {
  version: require('./package.json').version,
  platformVersion: require('zapier-platform-core').version,
  authentication,
  beforeRequest: [addKey],
  afterResponse: [explain],
  triggers: {
    new_registration: {
      key: 'new_registration',
      noun: 'Registration',
      display: { label: 'New Registration', description: 'Triggers when somebody registers for a webinar.' },
      operation: {
        ...hook('OnNewRegistration'),
        inputFields: filters,
        sample: {
          ...envelope,
          eventType: 'registrant.added',
          webinarKey: '4255157664015486220',
          webinarSubject: 'Introduction',
          registrantKey: '6820277626085326123',
          firstName: 'Bo',
          lastName: 'Lind',
          email: 'bo.lind@example.com',
          status: 'APPROVED',
        },
      },
    },
    new_webinar: {
      key: 'new_webinar',
      noun: 'Webinar',
      display: { label: 'New Webinar', description: 'Triggers when a webinar is scheduled.' },
      operation: {
        type: 'polling',
        perform: items('OnNewWebinar'),
        inputFields: filters.slice(1),
        sample: { ...envelope, eventType: 'webinar.created', webinarKey: '4255157664015486220', subject: 'Introduction' },
      },
    },
    any_event: {
      key: 'any_event',
      noun: 'Event',
      display: { label: 'Any Event', description: "Triggers on the events of one of the engine's own triggers." },
      operation: {
        ...hook(),
        inputFields: [{ key: 'trigger', label: 'Trigger', required: true, dynamic: 'trigger_list.id.name' }, ...filters],
        sample: { ...envelope, eventType: 'registrant.added' },
      },
    },
    trigger_list: {
      key: 'trigger_list',
      noun: 'Trigger',
      display: { label: 'List of Triggers', description: 'Fills the choice of triggers.', hidden: true },
      operation: {
        type: 'polling',
        perform: async (z, bundle) => {
          const response = await z.request({ url: `${bundle.authData.url}/v1/triggers` });
          return response.data.map(({ name }) => ({ id: name, name }));
        },
      },
    },
  },
};
