// Routes and their validated search parameters.
import { createRootRoute, createRoute, createRouter, Link } from '@tanstack/react-router';
import { EmptyState } from '../components/States';
import { ProfilePage } from '../features/profile/ProfilePage';
import { ProfilesPage } from '../features/profiles/ProfilesPage';
import { ServicesPage } from '../features/services/ServicesPage';
import { parseSearch, stringifySearch, validateOverview, validateProfile, validateScope } from '../lib/scope';
import { Crash, Shell } from './Shell';

const root = createRootRoute({
  component: Shell,
  errorComponent: Crash,
  notFoundComponent: () => (
    <EmptyState title="There is no such page" why="The address does not belong to any page of this version.">
      <Link to="/" search={{} as never} className="btn primary">
        Services
      </Link>
    </EmptyState>
  ),
});

const servicesRoute = createRoute({
  getParentRoute: () => root,
  path: '/',
  validateSearch: validateOverview,
  component: ServicesPage,
  errorComponent: Crash,
});

const profileRoute = createRoute({
  getParentRoute: () => root,
  path: '/profiles/view',
  validateSearch: validateProfile,
  component: ProfilePage,
  errorComponent: Crash,
});

const profilesRoute = createRoute({
  getParentRoute: () => root,
  path: '/profiles',
  validateSearch: validateScope,
  component: ProfilesPage,
  errorComponent: Crash,
});

export function makeRouter() {
  const base = new URL(document.baseURI).pathname.replace(/\/$/, '');
  return createRouter({
    routeTree: root.addChildren([servicesRoute, profilesRoute, profileRoute]),
    basepath: base || '/',
    parseSearch,
    stringifySearch,
    defaultPreload: false,
  });
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
