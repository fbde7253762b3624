"""The hosted pages: Jinja2 templates and the plain style sheet and ES modules they load.

Nothing here is Python on purpose. ``frontends/pages`` renders ``templates/`` and serves ``static/`` under ``/static/``;
everything a page does after that, it does through the public HTTP interface like any other client.

The pages hold to one strict content security policy: no inline script, style or event handler, no address but our own.
What a script needs to know when it starts stands in ``data-`` attributes of ``<main>``; what it learns later comes from
the interface and is put on the page as text, never as markup (S-43).

- ``templates/``: ``base.html`` (landmarks, header, live region), a template for each page, and ``components.html``.
- ``static/house.css``: the design system, for every page.
- ``static/api.js``, ``dom.js``, ``wording.js``: the interface, building and showing steps, every sentence.
- ``static/sign_in.js`` with ``sign_in_views.js``; ``activation.js``, ``registration.js``, ``activate.js``: the pages.
"""
