"""The hosted pages: Jinja2 templates and the plain style sheet and ES modules they load.

Nothing here is Python on purpose. ``frontends/pages`` renders ``templates/`` and serves ``static/`` under ``/static/``;
everything a page does after that, it does through the public HTTP interface like any other client.

The pages hold to one strict content security policy: no inline script, style or event handler, no address but our own.
What a script needs to know when it starts stands in ``data-`` attributes of ``<main>``; what it learns later comes from
the interface and is put on the page as text, never as markup (S-43).

- ``words/``: every sentence, one catalogue a language, for templates (``frontends/words``) and scripts (``words.js``).
- ``templates/``: ``base.html`` (landmarks, header, live region), a template for each page, and ``components.html``.
- ``static/house.css``: the design system, for every page.
- ``static/api.js``, ``dom.js``, ``forms.js``, ``timing.js``, ``scanning.js``: the interface; building steps.
- ``static/sign_in.js`` with ``sign_in_views.js`` and ``prompts.js`` (what each kind of prompt asks): the sign-in page.
- ``static/adding.js`` with ``activation.js``, ``adding_phone.js``, ``adding_authenticator.js``: the ways to verify, as
  they are added in a first sign-in (``proof_up.js``), from a link (``registration.js``) and in the settings.
- ``static/security.js``, ``app_passwords.js`` with ``own_settings.js`` and ``access.js``: the settings' pages.
- ``static/activate.js``: where a phone's camera leads without the app.
"""
