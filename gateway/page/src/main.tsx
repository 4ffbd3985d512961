// Starts the page.

import './styles/fonts.css';
import './styles/tokens.css';
import './styles/base.css';
import './styles/frame.css';
import './styles/viewer.css';
import './styles/panel.css';
import './styles/screens.css';
import { render } from 'preact';
import { App } from './app';
import { refreshSession } from './state/page';
import { followAddress } from './state/route';

const place = document.getElementById('page');
if (place !== null) {
  followAddress();
  void refreshSession();
  render(<App />, place);
}
